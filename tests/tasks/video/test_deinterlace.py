"""Interlaced frames become whole pictures, one each at its time, as by ffmpeg's bwdif."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from numpy.typing import NDArray

from curate.tasks.video.deinterlace import deinterlaced
from curate.tasks.video.one_pass import SplitPlan, split_video
from curate.tasks.video.pieces import Lengths
from curate.tasks.video.probing import probe_video
from curate.tasks.video.samples import writing_samples
from tests.field_pairs import pictures, write_pairs
from tests.media import CLOSED, Image, footage, picture, write_video


def weave(fields: Sequence[Image], top_first: bool = True) -> list[Image]:
    """Frames of two pictures each, one in the even lines and the next in the odd ones."""
    frames = []
    for first, second in zip(fields[::2], fields[1::2], strict=True):
        frame = (first if top_first else second).copy()
        frame[1::2] = (second if top_first else first)[1::2]
        frames.append(frame)
    return frames


def write_interlaced(path: Path, count: int = 12, top_first: bool = True) -> Path:
    """A video of `count` interlaced frames; its footage moves by 6 pixels from field to field."""
    fields = [_moved(i) for i in range(2 * count)]
    encoding = replace(CLOSED, fields="tff" if top_first else "bff")
    return write_video(path, weave(fields, top_first), encoding)


def _moved(i: int) -> Image:
    return np.ascontiguousarray(np.roll(picture(7), 6 * i, axis=1))


def decoded(*paths: Path) -> list[av.VideoFrame]:
    frames = []
    for path in paths:
        with av.open(str(path)) as container:
            frames += list(container.decode(video=0))
    return frames


def combing(frame: av.VideoFrame) -> float:
    """How much more a line differs from its neighbours than from the line after the next."""
    luma = frame.reformat(format="gray").to_ndarray().astype(float)
    near = np.abs(luma[1:-1] - luma[:-2]).mean()
    return float(near - np.abs(luma[2:] - luma[:-2]).mean())


def by_hand(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = Graph()
        steps = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
        graph.link_nodes(graph.add_buffer(template=stream), *steps).configure()
        pictures = []
        for frame in [*container.decode(stream), None]:
            graph.vpush(frame)
            while True:
                try:
                    pictures.append(graph.vpull().to_ndarray())
                except (BlockingIOError, EOFError):
                    break
    return pictures


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_are_parted_as_bwdif_does(tmp_path: Path, top_first: bool) -> None:
    path = write_interlaced(tmp_path / "a.mp4", top_first=top_first)
    frames = decoded(path)
    assert all(f.interlaced_frame for f in frames) and min(combing(f) for f in frames) > 10
    whole = list(deinterlaced(frames))
    assert not any(f.interlaced_frame for f in whole) and max(combing(f) for f in whole) < 0
    expected = by_hand(path)
    assert len(expected) == len(whole)
    for frame, picture_by_hand in zip(whole, expected, strict=True):
        assert (frame.to_ndarray() == picture_by_hand).all()


def joined(path: Path, *pairs: bool) -> Path:
    """Pictures stored as frames, and (True) as pairs of fields, which are flagged as interlaced."""
    return write_pairs(path, pictures(pairs))


def test_a_frame_flagged_among_others_is_made_whole_as_by_hand(tmp_path: Path) -> None:
    path = joined(tmp_path / "a.h264", *[False] * 3, *[True] * 4, *[False] * 2, *[True] * 3)
    frames = decoded(path)
    assert [f.interlaced_frame for f in frames] == [*[False] * 3, *[True] * 4, False, False] + (
        [True] * 3
    )
    whole = list(deinterlaced(decoded(path)))
    for frame, picture_by_hand in zip(whole, by_hand(path), strict=True):
        assert (frame.to_ndarray() == picture_by_hand).all()
        assert len(np.unique(frame.to_ndarray()[:32])) <= 3  # no lines of the other field


def flags(path: Path) -> tuple[object, object]:
    """interlaced_flag as `probe` and as `split` find it."""
    with writing_samples(path.parent, 1) as writer:
        plan = SplitPlan(lengths=Lengths(0), deinterlace=False)
        columns = split_video(str(path), plan, writer)[1]
    return probe_video(str(path))["interlaced_flag"], columns["interlaced_flag"]


@pytest.mark.parametrize(("first", "rest"), [(False, True), (True, False), (False, False)])
def test_pairs_of_fields_anywhere_set_the_flag(tmp_path: Path, first: bool, rest: bool) -> None:
    path = joined(tmp_path / "a.h264", first, *[rest] * 9)
    assert flags(path) == (int(first or rest),) * 2


def test_split_sets_the_flag_for_frames_behind_the_first(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / "p.h264", footage(12)),
        write_interlaced(tmp_path / "i.h264"),
    ]
    (tmp_path / "a.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert flags(tmp_path / "a.h264") == (0, 1)


@pytest.mark.parametrize("top_first", [True, False])
def test_the_picture_is_that_of_the_first_field(tmp_path: Path, top_first: bool) -> None:
    whole = list(deinterlaced(decoded(write_interlaced(tmp_path / "a.mp4", 6, top_first))))
    for i, frame in enumerate(whole):
        shown = frame.to_ndarray(format="rgb24").astype(int)
        differences = [np.abs(shown - _moved(k)).mean() for k in range(12)]
        assert int(np.argmin(differences)) == 2 * i


@pytest.mark.parametrize("count", [1, 2, 12])
def test_as_many_frames_come_out_at_the_same_times(tmp_path: Path, count: int) -> None:
    frames = decoded(write_interlaced(tmp_path / "a.mp4", count))
    times = [(f.pts, f.time_base, f.duration) for f in frames]
    assert [(f.pts, f.time_base, f.duration) for f in deinterlaced(frames)] == times


def test_progressive_frames_are_passed_on_untouched(tmp_path: Path) -> None:
    frames = decoded(write_video(tmp_path / "a.mp4", footage(4)))
    assert all(a is b for a, b in zip(deinterlaced(frames), frames, strict=True))


def test_no_frame_is_lost_where_interlacing_or_size_changes(tmp_path: Path) -> None:
    progressive = write_video(tmp_path / "p.mp4", footage(3))
    interlaced = write_interlaced(tmp_path / "i.mp4", 3)
    large = write_video(
        tmp_path / "l.mp4", weave(footage(6, size=(320, 192))), replace(CLOSED, fields="tff")
    )
    frames = decoded(progressive, interlaced, large, progressive, large)
    whole = list(deinterlaced(frames))
    assert [(f.width, f.pts) for f in whole] == [(f.width, f.pts) for f in frames]
    assert not any(f.interlaced_frame for f in whole)
    assert all(
        (a.to_ndarray() == b.to_ndarray()).all() for a, b in zip(whole[:3], frames[:3], strict=True)
    )
