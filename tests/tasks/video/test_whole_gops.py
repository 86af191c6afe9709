"""Spans whose packets are a clip by themselves: a copy shows their frames, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from curate.tasks.video.copying import copy_span
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.encode import Target
from curate.tasks.video.h264 import SequenceParameters
from curate.tasks.video.span import Span
from curate.tasks.video.whole_gops import is_whole
from tests.media import CLOSED, LONG_GOP, OPEN_GOP, Encoding, footage, write_video

COUNT, CUTS = 48, (13, 31, 32)
AS_IS = Target(23, "veryfast")
SCENES = Encoding().x264(keyint=250, min_keyint=1, bframes=3)  # a keyframe at each change of scene
SHAPES = {
    "closed": CLOSED,
    "scenes": SCENES,
    "pyramid": SCENES.x264(keyint=12, bframes=8, b_adapt=0, b_pyramid="normal", ref=8),
    "slices": SCENES.x264(keyint=5, slices=4, aud=1, bframes=1, b_adapt=0),
    "repeated": SCENES.x264(keyint=24, repeat_headers=1),
    "open": OPEN_GOP,
    "refresh": LONG_GOP.x264(keyint=24, intra_refresh=1, bframes=0),
}


def pictures(path: Path) -> tuple[list[int], list[bytes], Fraction]:
    """The time stamps and pixels of all frames, and the unit of the time stamps in seconds."""
    with open_media(str(path)) as container:
        stream = video_stream(container)
        frames = [(f.pts or 0, f.to_ndarray().tobytes()) for f in decode(container, stream)]
        return [pts for pts, _ in frames], [f for _, f in frames], Fraction(stream.time_base or 1)


def spans(path: Path) -> Iterator[tuple[Span, int]]:
    """Spans from each keyframe to some later frames, with the place of the first frame."""
    stamps, _, base = pictures(path)
    ends = [*stamps, 2 * stamps[-1] - stamps[-2]]
    with av.open(str(path)) as container:
        keys = [p.pts for p in container.demux(video=0) if p.size and p.is_keyframe]
    for a in (place for place, pts in enumerate(stamps) if pts in keys):
        for b in sorted({a + 1, a + 6, *CUTS, len(stamps)}):
            if a < b <= len(stamps):
                yield Span(stamps[a], ends[b], base, b - a), a


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gops")


@pytest.mark.parametrize(
    ("shape", "suffix"), [*((shape, "mp4") for shape in SHAPES), ("scenes", "mkv")]
)
def test_a_copy_of_a_whole_span_has_its_pictures_bit_by_bit(
    folder: Path, shape: str, suffix: str
) -> None:
    source = folder / f"{shape}.{suffix}"
    write_video(source, footage(COUNT, CUTS, size=(96, 64)), SHAPES[shape])
    stamps, frames, base = pictures(source)
    copies = 0
    for span, first in spans(source):
        if not is_whole(str(source), span, AS_IS):
            continue
        copies += 1
        copy_span(folder / "copy.mp4", str(source), span, sound=False)
        written, found, unit = pictures(folder / "copy.mp4")
        last = first + (span.frames or 0)
        assert found == frames[first:last]
        assert [pts * unit for pts in written] == [
            (pts - span.start) * base for pts in stamps[first:last]
        ]
    assert copies >= 1


def first_span(path: Path, frames: int = 12) -> Span:
    stamps, _, base = pictures(path)
    return Span(stamps[0], stamps[frames], base, frames)


OTHERS = {
    "turned": ("mp4", replace(CLOSED, rotation=90)),
    "anamorphic": ("mp4", replace(CLOSED, sar=Fraction(4, 3))),
    "ten bits": ("mp4", replace(CLOSED, pix_fmt="yuv420p10le")),
    "full colour": ("mp4", replace(CLOSED, pix_fmt="yuv444p")),
    "interlaced": ("mp4", replace(CLOSED, fields="tff").x264(keyint=12, tff=1)),
    "start codes": ("ts", CLOSED),
    "another codec": ("mp4", Encoding("mpeg4")),
    "bidirectional": ("mp4", LONG_GOP),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_written_as_it_is_stored_is_encoded(tmp_path: Path, kind: str) -> None:
    suffix, encoding = OTHERS[kind]
    source = write_video(tmp_path / f"a.{suffix}", footage(24, size=(96, 64)), encoding)
    assert not is_whole(str(source), first_span(source), AS_IS)


def test_hdr_is_encoded(tmp_path: Path) -> None:
    hdr = CLOSED.x264(keyint=12, bframes=0, transfer="smpte2084", colorprim="bt2020")
    source = write_video(tmp_path / "a.mp4", footage(24, size=(96, 64)), hdr)
    assert not is_whole(str(source), first_span(source), AS_IS)


@pytest.mark.parametrize(
    ("target", "whole"),
    [
        (AS_IS, True),
        (replace(AS_IS, shorter=64), True),  # it is no larger
        (replace(AS_IS, shorter=48), False),
        (replace(AS_IS, fps=Fraction(12)), False),
        (replace(AS_IS, inside=(0, 8, 96, 48)), False),
        (replace(AS_IS, inside=(0, 0, 96, 64)), True),  # borders found no bars
    ],
)
def test_a_target_that_changes_pictures_is_encoded(
    tmp_path: Path, target: Target, whole: bool
) -> None:
    source = write_video(tmp_path / "a.mp4", footage(24, size=(96, 64)), CLOSED)
    assert is_whole(str(source), first_span(source), target) is whole


def test_a_span_of_which_a_frame_does_not_decode_is_encoded(tmp_path: Path) -> None:
    """Its packets are more than the frames that split has counted."""
    source = write_video(tmp_path / "a.mp4", footage(24, size=(96, 64)), CLOSED)
    span = first_span(source)
    assert is_whole(str(source), span, AS_IS)
    assert not is_whole(str(source), replace(span, frames=11), AS_IS)
    assert not is_whole(str(source), replace(span, access="walk"), AS_IS)


def test_parameters_tell_whether_pictures_are_shown_in_another_order(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", footage(2, size=(96, 64)), SCENES)
    with av.open(str(source)) as container:
        unit = (container.streams.video[0].codec_context.extradata or b"")[8:]
    told = SequenceParameters.of(unit)
    assert told is not None and told.frames_only and told.tells_order
    # constrained baseline, 64 x 48, without a word on usability: bits as the standard has them
    bits = "010000101100000000001010" + "110110100001000111100"
    bits += "1"
    plain = SequenceParameters.of(
        b"\x67" + int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    )
    assert plain is not None and not plain.tells_order
