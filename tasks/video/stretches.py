"""Decodes several spans of a source, each stretch of it once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.span import Span

FAR = 5  # seconds


def frames_of_spans(
    path: str, spans: Sequence[Span], keyframes: Sequence[int] | None = None
) -> Iterator[tuple[int, VideoStream, Iterator[VideoFrame]]]:
    """For each span its place in `spans`, its stream, and its frames as `decode` gives them.

    `spans` are in order. Frames are there until the next span is asked for; those that nobody takes
    are skipped. Raises as `open_media` and `decode` do, also while frames are taken.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        for run in runs(spans, keyframes):
            end = max(spans[n].end for n in run)
            first = spans[run[0]]
            decoded = decode(
                container, stream, start_pts=first.start, end_pts=end, access=first.access
            )
            frames = _Feed(decoded)
            for n in run:
                yield n, stream, frames.span(spans[n].start, spans[n].end)


def runs(spans: Sequence[Span], keyframes: Sequence[int] | None) -> Iterator[list[int]]:
    """Places of spans to decode in one go; a new group starts where a seek saves frames.

    `spans` are in order, `keyframes` are time stamps; where they are not known, a seek saves frames
    after FAR seconds without a span. Spans that overlap are in different groups.
    """
    run: list[int] = []
    for place, span in enumerate(spans):
        end = spans[run[-1]].end if run else None
        if end is not None and (span.start < end or _is_far(end, span, keyframes)):
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _is_far(end: int, span: Span, keyframes: Sequence[int] | None) -> bool:
    """Whether a seek to a span saves frames behind `end`."""
    if keyframes is not None:
        return any(end < k <= span.start for k in keyframes)
    return span.access == "seek" and (span.start - end) * span.time_base > FAR


class _Feed:
    """Hands the frames of one decoding pass to the spans they belong to."""

    def __init__(self, frames: Iterator[VideoFrame]) -> None:
        self._frames = frames
        self._next = next(frames, None)

    def span(self, start: int, end: int) -> Iterator[VideoFrame]:
        """Frames with ``start <= pts < end``; earlier ones are skipped."""
        while self._next is not None and (pts := self._next.pts or 0) < end:
            frame = self._next
            if pts >= start:
                yield frame
            self._next = next(self._frames, None)
