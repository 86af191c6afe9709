"""The one pass over a video: every frame is decoded once and feeds detection, samples, hashes and
motion.

Memory is bounded: at most `shots.HELD` decoded frames are held, JPEGs of an open scene beyond some
megabytes go to a temporary file, and a finished clip goes to the archive at once. What grows with
the length of a scene is 8 bytes a frame.
"""

from __future__ import annotations

import ctypes
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import count
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from curate.tasks.stage import NewClip
from curate.tasks.video.decode import decode, nominal_duration, open_media, video_stream
from curate.tasks.video.flow import Gray, gray_of, pair
from curate.tasks.video.geometry import Geometry, geometry
from curate.tasks.video.hashing import perceptual_hash
from curate.tasks.video.pieces import Lengths, Piece, long_enough, pieces
from curate.tasks.video.samples import Measures, Picture, Reel, SampleWriter, decode_jpeg
from curate.tasks.video.scene_buffer import Cadence, Darkroom, Roll, Shot, nearest
from curate.tasks.video.scenes import CutFinder, Detector, Place, Shrinker, Stride

POINTS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of a clip, where scorers look
_SUSPECTS = 4  # frames that may yet begin a scene: PySceneDetect decides two frames later


@dataclass(frozen=True)
class Plan:
    """What the pass looks for. Units as in the options of the stage `split`."""

    detector: Detector = "adaptive"
    threshold: float | None = None
    min_scene_len: int = 15
    stride_seconds: float = 10.0
    lengths: Lengths = field(default_factory=Lengths)
    sample_fps: float = 1.0
    flow_fps: float = 4.0
    hash: str = "phash"

    def finder(self) -> CutFinder:
        """A fresh detector."""
        if self.detector == "stride":
            return Stride(self.stride_seconds)
        return CutFinder(self.detector, self.threshold, self.min_scene_len)

    def cadence(self) -> Cadence:
        """Held frames are to lie within 1/16 of the length of the shortest piece of a long scene."""
        parts = [part for part in (self.lengths.longest, self.lengths.panda) if part is not None]
        shortest = max(min(parts) / 2, self.lengths.shortest / 2, 0.01) if parts else float("inf")
        return Cadence(1 / self.sample_fps, shortest / 8)


def split_video(path: str, plan: Plan, writer: SampleWriter) -> list[NewClip]:
    """The clips of a video, in order; their samples are written. Raises MediaError."""
    _prepare()
    with open_media(path) as container:
        stream = video_stream(container)
        frames = decode(container, stream)
        first = next(frames)
        clock = _Clock(
            _pts(first), Fraction(stream.time_base or 1), Fraction(stream.average_rate or 25)
        )
        with closing(Darkroom(geometry(stream, first))) as room:
            clips = _Clips(plan, geometry(stream, first), clock, room, writer)
            front = _Pass(plan, clock, room, clips)
            last = front.take(first)
            for frame in frames:
                last = front.take(frame)
            front.finish(_pts(last) + (last.duration or nominal_duration(stream)))
    return clips.found


@cache
def _prepare() -> None:
    """One thread, as the others are for other videos; and glibc keeps freed memory.

    Otherwise it gives the memory of each full-size picture back to the kernel and gets it anew,
    zeroed, for the next frame: 2 percent of all CPU time.
    """
    cv2.setNumThreads(1)
    with suppress(AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest value
        libc.mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD


def _pts(frame: VideoFrame) -> int:
    assert frame.pts is not None  # `decode` sees to it
    return frame.pts


@dataclass(frozen=True)
class _Clock:
    """Times are counted from the first decoded frame: the start that a container claims is often
    wrong.
    """

    first: int
    time_base: Fraction
    fps: Fraction

    def place(self, index: int, pts: int) -> Place:
        return Place(index, pts - self.first, self.time_base, self.fps)

    def seconds(self, pts: int) -> float:
        return float((pts - self.first) * self.time_base)


class _Pass:
    """What happens to each frame. `clips` gets a roll whenever a scene ends."""

    def __init__(self, plan: Plan, clock: _Clock, room: Darkroom, clips: _Clips) -> None:
        self._clock = clock
        self._room = room
        self._clips = clips
        self._finder = plan.finder()
        self._shrinker = Shrinker()
        self._indices = count()
        self._suspects: deque[Shot] = deque(maxlen=_SUSPECTS)
        self._roll = Roll(0, plan.cadence())
        self._flow_step = 1 / plan.flow_fps
        self._next_flow = 0.0
        self._before: tuple[Gray, float] | None = None  # the first frame of a pair, and its time

    def take(self, frame: VideoFrame) -> VideoFrame:
        """Use the frame, and give it back."""
        shot = Shot(next(self._indices), _pts(frame), frame)
        seconds = self._clock.seconds(shot.pts)
        if shot.index == 0:
            self._roll.begin(self._room.develop(shot), seconds)
        self._roll.take(shot, seconds, self._room)
        pairing = self._before is not None or seconds >= self._next_flow
        if self._finder.needs_pictures or pairing:
            picture = self._shrinker.shrink(frame)
            if pairing:
                self._pair(shot.index, gray_of(picture), seconds)
        else:
            picture = _NOTHING
        self._detect(shot, picture)
        return frame

    def _detect(self, shot: Shot, picture: Gray) -> None:
        cuts = self._finder.push(self._clock.place(shot.index, shot.pts), picture)
        if self._finder.suspect or shot.index in cuts:
            self._suspects.append(shot)
        for cut in cuts:
            self._cut(cut)

    def _pair(self, index: int, gray: Gray, seconds: float) -> None:
        """Complete the pair that the last frame began; begin one when it is time to."""
        before, self._before = self._before, None
        if before is not None and before[0].shape == gray.shape:
            self._roll.pairs.append((index, pair(before[0], gray, seconds, seconds - before[1])))
        if seconds >= self._next_flow:
            self._before = gray, seconds
            self._next_flow = seconds + self._flow_step

    def _cut(self, index: int) -> None:
        first = next(shot for shot in self._suspects if shot.index == index)
        if index == self._roll.start:
            return
        after = self._roll.cut(index)
        self._clips.close(self._roll, first.pts)
        self._roll = after
        after.begin(self._room.develop(first), self._clock.seconds(first.pts))

    def finish(self, end: int) -> None:
        """The video ends at the time stamp end."""
        self._clips.close(self._roll, end)


_NOTHING = np.empty((0, 0, 3), np.uint8)  # for a detector that needs no pictures


class _Clips:
    """Makes clips of finished scenes. Numbers count every piece, too short ones as well, as the
    seed's do.
    """

    def __init__(
        self, plan: Plan, shape: Geometry, clock: _Clock, room: Darkroom, writer: SampleWriter
    ) -> None:
        self.found: list[NewClip] = []
        self._plan = plan
        self._shape = shape
        self._clock = clock
        self._room = room
        self._writer = writer
        self._numbers = count()

    def close(self, roll: Roll, end: int) -> None:
        """Make the clips of the scene that ends before the time stamp end."""
        times = roll.times
        times.append(end)
        for span in pieces(times, self._clock.time_base, self._plan.lengths):
            number = next(self._numbers)
            if long_enough(times, span, self._clock.time_base, self._plan.lengths):
                self.found.append(self._clip(roll, number, span))

    def _clip(self, roll: Roll, number: int, span: Piece) -> NewClip:
        start, end = roll.times[span[0]], roll.times[span[1]]
        shots, regular, large = self._choose(roll, span)
        reel = Reel()
        pictures = [reel.add(self._within(s.pts, start), self._jpeg(s)) for s in shots]
        measures = Measures(
            seconds=self._within(end, start),
            pictures=pictures,
            regular=[i for i, shot in enumerate(shots) if shot.index in regular],
            large=self._large(reel, large, start),
            pairs=[
                replace(found, seconds=found.seconds - self._clock.seconds(start))
                for index, found in roll.pairs
                if span[0] < index - roll.start < span[1]
            ],
            stills=[replace(s.still, seconds=self._within(s.pts, start)) for s in shots if s.still],
        )
        self._writer.write(number, measures, reel)
        return NewClip(number, start, end, self._scores(roll, span) | self._hashes(reel, measures))

    def _within(self, pts: int, start: int) -> float:
        return float((pts - start) * self._clock.time_base)

    def _choose(self, roll: Roll, span: Piece) -> tuple[list[Shot], set[int], Shot]:
        """The shots to keep of a clip, which of them are regular, and the one to keep large."""
        start, end = roll.times[span[0]], roll.times[span[1]]
        regular, held = roll.within(*span)
        kept = {shot.index: shot for shot in regular or held[:1]}
        sampled = set(kept)
        middle = nearest(held, start + 0.5 * (end - start))
        for point in POINTS:
            shot = nearest([*kept.values(), *held], start + point * (end - start))
            kept.setdefault(shot.index, self._room.develop(shot))
        if span[0] == 0:
            kept.setdefault(held[0].index, self._room.develop(held[0]))
        return [kept[i] for i in sorted(kept)], sampled, middle

    def _jpeg(self, shot: Shot) -> bytes:
        key = self._room.develop(shot).small
        assert key is not None
        return self._room.jpeg(key)

    def _large(self, reel: Reel, shot: Shot, start: int) -> Picture:
        key = self._room.enlarge(shot).large
        assert key is not None
        return reel.add(self._within(shot.pts, start), self._room.jpeg(key))

    def _scores(self, roll: Roll, span: Piece) -> dict[str, Any]:
        start, end = roll.times[span[0]], roll.times[span[1]]
        seconds = self._within(end, start)
        width, height = self._shape.size
        return {
            "num_frames": span[1] - span[0],
            "fps": float((span[1] - span[0]) / ((end - start) * self._clock.time_base)),
            "width": width,
            "height": height,
            "aspect_ratio": height / width,
            "resolution": height * width,
            "start_frame": roll.start + span[0],
            "start_seconds": self._clock.seconds(start),
            "end_seconds": self._clock.seconds(end),
            "seconds": seconds,
        }

    def _hashes(self, reel: Reel, measures: Measures) -> dict[str, Any]:
        middle = min(measures.pictures, key=lambda p: abs(p.seconds - measures.seconds / 2))
        found = [
            perceptual_hash(
                decode_jpeg(bytes(reel.data[p.offset : p.offset + p.size])), self._plan.hash
            )
            for p in (measures.pictures[0], middle)
        ]
        return {"hash_first": found[0], "hash_middle": found[1]}
