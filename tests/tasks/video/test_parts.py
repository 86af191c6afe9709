"""Sources of several parts, each with a clock or a size of its own: no frame is lost, each clip is
of one part, and every reader finds the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curate.configs.row_errors import CannotCopy
from curate.configs.settings import Settings
from curate.tasks.cut import Cut
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Outcome, Video
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.frame_picker import pick_frames
from curate.tasks.video.probing import probe_video
from curate.tasks.video.samples import Samples
from curate.tasks.video.span import Access, Pick
from tests.media import (
    B_FRAMES,
    CLOSED,
    LONG_GOP,
    footage,
    frame_number,
    picture,
    write_video,
)
from tests.parts import JUMPS, KINDS, Parts, draw_parts


@pytest.fixture(scope="module", params=KINDS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return draw_parts(request.param, tmp_path_factory.mktemp(request.param))


def jumps(drawn: Parts) -> int:
    return JUMPS[drawn.path.stem]


def read(path: Path, **span: Any) -> Iterator[tuple[int, int]]:
    """pts and drawn number of each frame."""
    with open_media(str(path)) as container:
        for frame in decode(container, video_stream(container), **span):
            yield frame.pts or 0, frame_number(frame.to_ndarray(format="rgb24"))


@cache
def frames_of(path: Path) -> list[tuple[int, int]]:
    """pts and drawn number of each frame; not to be changed."""
    return list(read(path))


@pytest.fixture(scope="module")
def found(drawn: Parts) -> tuple[Outcome, list[Clip]]:
    """What split finds with its usual options; not to be changed."""
    return split(drawn, drawn.path.parent / "home")


def split(drawn: Parts, home: Path, **options: Any) -> tuple[Outcome, list[Clip]]:
    """What split finds, and the clips as later stages get them."""
    context = Context(Settings(home=home))
    values = {"clip_stem": "a", **probe_video(str(drawn.path))}
    video = Video(1, 1, str(drawn.path), drawn.path.name, values)
    stage = Split(Split.Options(**{"min_seconds": 0.5, **options}), context)
    outcome = stage.run(video)
    video = Video(1, 1, str(drawn.path), drawn.path.name, {**values, **outcome.scores})
    base = Fraction(values["time_base_num"], values["time_base_den"])
    folder = context.settings.samples
    return outcome, [
        Clip(i, 1, new.index, video, new.start_pts, new.end_pts, base, dict(new.scores), folder)
        for i, new in enumerate(outcome.clips)
    ]


def cut(clips: list[Clip], home: Path, **options: Any) -> list[Outcome]:
    stage = Cut(Cut.Options(**{"preset": "ultrafast", **options}), Context(Settings(home=home)))
    return stage.run_batch(clips)


def numbers(outcome: Outcome) -> list[int]:
    with av.open(str(outcome.scores["path"])) as container:
        return [frame_number(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def test_all_frames_come_in_their_order_at_times_that_rise(drawn: Parts) -> None:
    found = frames_of(drawn.path)
    assert [number for _, number in found] == list(range(sum(drawn.counts)))
    assert all(a < b for (a, _), (b, _) in pairwise(found))


@pytest.mark.parametrize("access", ["walk", "decode"])
def test_any_span_is_found_again(drawn: Parts, access: Access) -> None:
    found = frames_of(drawn.path)
    for first, after in drawn.bounds:
        for start in (first, first + 13, after - 2):
            span = {"start_pts": found[start][0], "end_pts": found[after - 1][0]}
            assert list(read(drawn.path, access=access, **span)) == found[start : after - 1]


def test_probe_counts_all_parts(drawn: Parts) -> None:
    found = frames_of(drawn.path)
    probed = probe_video(str(drawn.path))
    assert probed["num_frames"] == sum(drawn.counts)
    base = Fraction(probed["time_base_num"], probed["time_base_den"])
    length = float((found[-1][0] - found[0][0]) * base)
    assert probed["duration"] == pytest.approx(length, abs=0.05)


def test_each_part_is_a_clip_of_its_own_size(
    drawn: Parts, found: tuple[Outcome, list[Clip]]
) -> None:
    outcome, clips = found
    bounds = [(c["start_frame"], c["start_frame"] + c["num_frames"]) for c in clips]
    assert bounds == drawn.bounds
    for clip in clips:
        samples = Samples.open(clip.samples_from, 1, clip.index)
        assert samples.first().shape[:2] == (clip["height"], clip["width"])
        assert frame_number(samples.first()) == clip["start_frame"]
    with av.open(str(drawn.path)) as container:
        sizes = [(f.width, f.height) for f in container.decode(video=0)]
    assert [(c["width"], c["height"]) for c in clips] == [sizes[a] for a, _ in drawn.bounds]
    assert outcome.scores["time_jumps"] == jumps(drawn)


@pytest.mark.parametrize("options", [{}, {"detector": "stride", "stride_seconds": 0.7}])
def test_each_frame_is_in_a_clip_or_counted(
    drawn: Parts, tmp_path: Path, options: dict[str, Any]
) -> None:
    limits = {"min_seconds": 0.4, "max_seconds": 0.5, "long_scenes": "truncate"}
    outcome, clips = split(drawn, tmp_path, **limits, **options)
    columns: Any = outcome.scores
    assert columns["frames_decoded"] == sum(drawn.counts)
    assert columns["frames_unplaced"] == 0
    placed = sum(clip["num_frames"] for clip in clips)
    assert placed + columns["frames_leftover"] == columns["frames_decoded"]


def test_encoded_clips_are_exactly_the_planned_frames(
    drawn: Parts, found: tuple[Outcome, list[Clip]], tmp_path: Path
) -> None:
    _, clips = found
    outcomes = cut(clips, tmp_path)
    assert [numbers(o) for o in outcomes] == [list(range(a, b)) for a, b in drawn.bounds]
    for clip, outcome in zip(clips, outcomes, strict=True):
        with av.open(str(outcome.scores["path"])) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (clip["width"], clip["height"])


def test_a_clip_cut_alone_is_the_same(drawn: Parts, tmp_path: Path) -> None:
    _, clips = split(drawn, tmp_path, detector="stride", stride_seconds=0.7)
    clip = clips[-1]
    (outcome,) = cut([clip], tmp_path)
    first = clip["start_frame"]
    assert numbers(outcome) == list(range(first, first + clip["num_frames"]))


def test_copied_clips_hold_every_planned_frame(
    drawn: Parts, found: tuple[Outcome, list[Clip]], tmp_path: Path
) -> None:
    _, clips = found
    for outcome, (first, after) in zip(
        cut(clips, tmp_path, mode="copy"), drawn.bounds, strict=True
    ):
        shown = numbers(outcome)
        assert shown == list(range(first, first + len(shown)))
        assert after - first <= len(shown) <= after - first + 2


def test_picked_frames_are_those_of_the_clip(
    drawn: Parts, found: tuple[Outcome, list[Clip]]
) -> None:
    _, clips = found
    for clip in clips:
        (found,) = pick_frames(str(drawn.path), clip.span, lambda _: [Pick([0, 7, 19])])
        first = clip["start_frame"]
        assert [frame_number(f) for f in found] == [first, first + 7, first + 19]


def test_sound_stays_with_the_pictures_of_its_part(tmp_path: Path) -> None:
    drawn = draw_parts("ts_sound", tmp_path)
    _, clips = split(drawn, tmp_path)
    for outcome in cut(clips, tmp_path, audio=True):
        with av.open(str(outcome.scores["path"])) as container:
            sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
        assert sound.shape[1] / 48000 == pytest.approx(30 / 24, abs=0.05)
        assert np.abs(sound[0, 4000:50000]).max() == pytest.approx(0.1, abs=0.03)


# time stamps that are missing or equal


@pytest.fixture(scope="module", params=["raw", "equal", "early", "early_long"])
def untimed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp(request.param)
    frames = [picture(i, scene=i >= 30) for i in range(60)]
    if request.param == "raw":
        return Parts(write_video(folder / "a.h264", frames, B_FRAMES), [30, 30])
    if request.param != "equal":  # Matroska stores no time stamps before 0
        encoding = B_FRAMES if request.param == "early" else LONG_GOP
        keep = {"avoid_negative_ts": "disabled"}
        early = replace(encoding, shift=-10, container=keep)
        return Parts(write_video(folder / "a.mkv", frames, early), [30, 30])
    path = write_video(folder / "a.mkv", frames, CLOSED)
    with av.open(str(path)) as source, av.open(str(folder / "b.mkv"), "w") as output:
        stream = source.streams.video[0]
        copied = output.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in source.demux(stream) if p.size):
            packet.pts = packet.dts = number // 2 * 83  # each twice, in ms
            packet.stream = copied
            output.mux(packet)
    return Parts(folder / "b.mkv", [30, 30])


def test_frames_without_a_time_of_their_own_are_kept(untimed: Parts, tmp_path: Path) -> None:
    found = list(read(untimed.path))
    assert [number for _, number in found] == list(range(60))
    assert all(a < b for (a, _), (b, _) in pairwise(found))
    outcome, clips = split(untimed, tmp_path, min_seconds=0.1)
    assert outcome.scores["frames_decoded"] == sum(c["num_frames"] for c in clips) == 60
    assert outcome.scores["time_jumps"] == 0
    found = [numbers(o) for o in cut(clips, tmp_path)]
    assert found == [
        list(range(c["start_frame"], c["start_frame"] + c["num_frames"])) for c in clips
    ]


def test_what_has_no_times_is_not_copied_and_not_called_damaged(tmp_path: Path) -> None:
    raw = Parts(write_video(tmp_path / "a.h264", footage(48), B_FRAMES), [48])
    _, clips = split(raw, tmp_path)
    with pytest.raises(CannotCopy, match=r"carry no time stamps.*cut.mode=smart"):
        cut(clips, tmp_path, mode="copy")
