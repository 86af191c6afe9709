"""Time stamps of copied packets; whole copies are in test_cut.py."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.configs.row_errors import CutMismatch
from curate.tasks.video.clock import Clock
from curate.tasks.video.copying import copy_span, decoding_times, without_gap
from curate.tasks.video.decode import decode, open_media, packets, video_stream
from curate.tasks.video.probing import probe_video
from curate.tasks.video.span import Span
from tests.field_pairs import pictures, write_pairs
from tests.media import CLOSED, Encoding, draw_bad, footage, frame_number, write_video


@given(st.permutations(range(12)))
def test_decoding_times_increase_and_never_pass_the_presentation(pts: list[int]) -> None:
    dts = decoding_times(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))
    assert any(d == p for d, p in zip(dts, pts, strict=True))


def test_what_is_shown_after_a_pause_follows_the_end_at_once() -> None:
    assert without_gap([0, 4000, 1, 4010, 2], end=3) == [0, 3, 1, 13, 2]


def test_time_stamps_without_a_gap_stay() -> None:
    assert without_gap([0, 3, 1, 2], end=3) == [0, 3, 1, 2]
    assert without_gap([0, 1], end=3) == [0, 1]


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_two_fields_are_copied_and_counted_as_one_frame(
    tmp_path: Path, suffix: str, together: bool
) -> None:
    source = write_pairs(tmp_path / f"a{suffix}", pictures([True] * 20), together)
    video = probe_video(str(source))
    base = Fraction(video["time_base_num"], video["time_base_den"])
    start = video["first_pts"]
    # to the end of a first field, as where it is the last frame
    span = Span(start, start + round(Fraction(23, 50) / base), base, 12)
    written = copy_span(tmp_path / "b.mp4", str(source), span, sound=False)
    with av.open(str(tmp_path / "b.mp4")) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert (written.num_frames, shown) == (12, 12)


def found(path: Path) -> list[tuple[int, int]]:
    """pts and drawn number of each frame."""
    with open_media(str(path)) as container:
        frames = decode(container, video_stream(container))
        return [(f.pts or 0, frame_number(f.to_ndarray(format="rgb24"))) for f in frames]


def test_a_clip_begins_at_a_keyframe_that_has_the_time_of_the_frame_before(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "a.mkv", footage(24), CLOSED)
    with av.open(str(plain)) as source, av.open(str(tmp_path / "b.mkv"), "w") as output:
        stream = source.streams.video[0]
        copied = output.add_stream_from_template(stream)
        packets: list[Any] = [packet for packet in source.demux(stream) if packet.size]
        assert packets[12].is_keyframe
        packets[12].pts = packets[12].dts = packets[11].pts
        for packet in packets:
            packet.stream = copied
            output.mux(packet)
    frames = found(tmp_path / "b.mkv")
    assert [number for _, number in frames] == list(range(24))
    span = Span(frames[12][0], frames[-1][0] + 42, Fraction(1, 1000), 12)
    written = copy_span(tmp_path / "c.mp4", str(tmp_path / "b.mkv"), span, sound=False)
    assert written.num_frames == 12
    assert [number for _, number in found(tmp_path / "c.mp4")] == list(range(12, 24))


def test_the_frames_of_a_copy_are_those_that_decode(tmp_path: Path) -> None:
    source = draw_bad("corrupt", tmp_path)
    with open_media(str(source)) as container:
        stream = video_stream(container)
        stamps = [f.pts or 0 for f in decode(container, stream)]
        base = Fraction(stream.time_base or 1)
    assert len(stamps) < probe_video(str(source))["num_frames"]
    span = Span(stamps[0], stamps[-1] + 512, base, len(stamps))
    written = copy_span(tmp_path / "b.mp4", str(source), span, sound=False)
    with open_media(str(tmp_path / "b.mp4")) as container:
        shown = sum(1 for _ in decode(container, video_stream(container)))
    assert written.num_frames == shown


def test_vp9_behind_a_change_of_size_is_copied(tmp_path: Path) -> None:
    vp9 = Encoding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"})
    parts = [
        write_video(tmp_path / f"{width}.webm", footage(12, size=(width, height)), vp9)
        for width, height in ((160, 96), (96, 160))
    ]
    with av.open(str(parts[0])) as first, av.open(str(tmp_path / "a.webm"), "w") as output:
        copied = output.add_stream_from_template(first.streams.video[0])
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts += 500 * number  # type: ignore[operator]
                        packet.dts += 500 * number  # type: ignore[operator]
                        packet.stream = copied
                        output.mux(packet)
    span = Span(500, 1000, Fraction(1, 1000), 12)
    written = copy_span(tmp_path / "b.mp4", str(tmp_path / "a.webm"), span, sound=False)
    assert (written.num_frames, written.width, written.height) == (12, 96, 160)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(96, 160)] * 12


def test_a_copy_of_which_nothing_decodes_is_not_kept(tmp_path: Path) -> None:
    """Its packets are whole for whoever counts them, but they are of another codec."""
    parts = [
        write_video(tmp_path / f"{name}.ts", footage(30), encoding).read_bytes()
        for name, encoding in {"a": CLOSED, "b": Encoding("mpeg2video")}.items()
    ]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(parts))
    with open_media(str(source)) as container:
        clock = Clock.of(container, video_stream(container))
        kept = clock.continued(packets(container, video_stream(container)))
        stamps = sorted(packet.pts for packet in kept if packet.pts is not None)
    span = Span(stamps[36], stamps[48], Fraction(1, 90000), 12, "walk")
    with pytest.raises(CutMismatch, match="0 frames"):
        copy_span(tmp_path / "b.mp4", str(source), span, sound=False)
    assert not (tmp_path / "b.mp4").exists()
