"""Clips have the frames and times they claim, and their samples are frames of theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from pydantic import ValidationError

from curate.configs.errors import PackageMissing
from curate.configs.row_errors import MediaError, OtherCodec
from curate.configs.settings import Settings
from curate.tasks.models.transnet import WINDOW
from curate.tasks.split import NO_SCENE, Split
from curate.tasks.stage import Context, Need, NewClip, Outcome, Video
from curate.tasks.storage.clip_paths import archive
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.probing import probe_video
from curate.tasks.video.samples import Samples
from tests.media import (
    BAD,
    CLOSED,
    DAMAGED,
    SOUND,
    Encoding,
    draw,
    draw_bad,
    footage,
    frame_number,
    write_image,
    write_video,
)
from tests.tasks.video.test_deinterlace import combing, write_interlaced


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("split")


def split(path: Path, home: Path, probed: dict[str, Any] | None = None, **options: Any) -> Outcome:
    stage = Split(Split.Options(**{"min_seconds": 0.0, **options}), Context(Settings(home=home)))
    return stage.run(Video(1, 1, str(path), path.name, probed or {}))


def samples(home: Path, clip: NewClip) -> Samples:
    return Samples.open(Settings(home=home).samples, 1, clip.index)


def shown(path: Path) -> list[tuple[int, float]]:
    """pts and seconds from the first frame of every frame."""
    with open_media(str(path)) as container:
        stream = video_stream(container)
        pts = [f.pts or 0 for f in decode(container, stream)]
        return [(p, float((p - pts[0]) * Fraction(stream.time_base or 1))) for p in pts]


# ---------------------------------------------------------------- whole videos


@pytest.mark.parametrize("kind", SOUND)
def test_a_cut_makes_two_clips_that_share_a_boundary(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    drawn = draw(kind, folder, (160, 96))
    first, second = split(drawn.path, tmp_path, min_scene_len=10).clips
    frames, cut = shown(drawn.path), drawn.cuts[0]
    assert (first.start_pts, first.end_pts, second.start_pts) == (
        frames[0][0],
        frames[cut][0],
        frames[cut][0],
    )
    assert second.end_pts > frames[-1][0]
    assert (first.scores["num_frames"], second.scores["num_frames"]) == (cut, len(frames) - cut)
    assert (first.scores["start_frame"], second.scores["start_frame"]) == (0, cut)
    assert (first.scores["start_seconds"], first.scores["end_seconds"]) == (
        0.0,
        pytest.approx(frames[cut][1]),
    )


@pytest.mark.parametrize("kind", SOUND)
def test_samples_show_frames_of_their_clip_at_their_times(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    drawn = draw(kind, folder, (160, 96))
    times = dict(zip(drawn.numbers, drawn.seconds, strict=True))
    for clip in split(drawn.path, tmp_path, min_scene_len=10, sample_fps=6).clips:
        found = samples(tmp_path, clip)
        start, seconds = clip.scores["start_seconds"], clip.scores["seconds"]
        assert frame_number(found.first()) == drawn.numbers[clip.scores["start_frame"]]  # type: ignore[index]
        for at, image in zip(found.times, found.frames(), strict=True):
            assert times[frame_number(image)] == pytest.approx(start + at, abs=0.002)
        for fraction in (0.1, 0.25, 0.5, 0.75, 0.9):
            assert abs(times[frame_number(found.at(fraction))] - start - fraction * seconds) < 0.15
        assert abs(times[frame_number(found.large_middle())] - start - seconds / 2) < 0.15


def test_a_clip_s_columns_agree_with_each_other(folder: Path, tmp_path: Path) -> None:
    for clip in split(draw("vfr", folder).path, tmp_path).clips:
        s: Any = clip.scores
        asked_for = {"hash_views", "transition_before", "transition_after"}
        assert set(s) == set(Split.columns) - asked_for
        assert s["seconds"] == pytest.approx(s["end_seconds"] - s["start_seconds"])
        assert s["fps"] == pytest.approx(s["num_frames"] / s["seconds"])
        assert (s["width"], s["height"], s["aspect_ratio"], s["resolution"]) == (
            160,
            96,
            0.6,
            160 * 96,
        )
        assert len(s["hash_first"]) == len(s["hash_middle"]) == 16


@pytest.mark.parametrize(("kind", "size"), [("rotated90", (160, 96)), ("anamorphic", (233, 96))])
def test_samples_are_upright_with_square_pixels(
    folder: Path, tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    clip = split(draw(kind, folder).path, tmp_path).clips[0]
    found = samples(tmp_path, clip)
    assert (clip.scores["width"], clip.scores["height"]) == size
    assert found.middle().shape == found.large_middle().shape == (size[1], size[0], 3)


def test_samples_of_a_mirrored_video_are_as_a_player_shows_them(tmp_path: Path) -> None:
    frames = [np.ascontiguousarray(frame.transpose(1, 0, 2)) for frame in footage(24)]
    path = write_video(tmp_path / "a.mp4", frames, replace(CLOSED, matrix=(0, 1, 1, 0)))
    (clip,) = split(path, tmp_path).clips
    found = samples(tmp_path, clip)
    assert (clip.scores["width"], clip.scores["height"]) == (160, 96)
    assert frame_number(found.first()) == 0
    assert 10 <= frame_number(found.large_middle()) <= 14


@pytest.mark.parametrize(("deinterlace", "combed"), [("auto", False), ("off", True)])
def test_samples_of_an_interlaced_video_are_whole_pictures(
    tmp_path: Path, deinterlace: str, combed: bool
) -> None:
    path = write_interlaced(tmp_path / "a.mp4", 24)
    (clip,) = split(path, tmp_path, deinterlace=deinterlace).clips
    assert clip.scores["num_frames"] == 24
    frame = VideoFrame.from_ndarray(samples(tmp_path, clip).middle(), "rgb24")
    assert (combing(frame) > 0) == combed


def test_samples_of_a_large_video_are_small(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(12, size=(1280, 720)), CLOSED)
    found = samples(tmp_path, split(path, tmp_path).clips[0])
    assert found.middle().shape == (256, 455, 3)
    assert found.large_middle().shape == (540, 960, 3)


def test_the_same_file_gives_the_same_rows_and_the_same_archive(
    folder: Path, tmp_path: Path
) -> None:
    path = draw("open_gop", folder).path
    a, b = split(path, tmp_path / "a"), split(path, tmp_path / "b")
    files = [archive(Settings(home=tmp_path / x).samples, 1).read_bytes() for x in "ab"]
    assert a == b and files[0] == files[1]


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_numbers_count_scenes_that_are_too_short(tmp_path: Path, detector: str) -> None:
    path = write_video(tmp_path / "a.mp4", footage(110, (20, 60, 78)), CLOSED)  # 24 a second
    found = split(path, tmp_path, min_seconds=1.0, detector=detector)
    assert [(c.index, c.scores["num_frames"]) for c in found.clips] == [(1, 40), (3, 32)]


def test_a_video_without_a_long_scene_is_dropped_by_name(folder: Path, tmp_path: Path) -> None:
    found = split(draw("closed", folder).path, tmp_path, min_seconds=2.0)
    assert (found.clips, found.drop) == ([], NO_SCENE)
    assert found.scores["frames_leftover"] == found.scores["frames_decoded"] == 48
    assert found.scores["scenes_short"] == 2


PAUSE = replace(CLOSED, time_base=Fraction(1, 24))


def test_moving_parts_beside_a_pause_are_clips_and_nothing_is_longer_than_the_limit(
    tmp_path: Path,
) -> None:
    # as a screen recorder writes it: 72 frames, 30 s with nothing, 72 frames
    pts = [*range(72), *range(792, 864)]
    path = write_video(tmp_path / "a.mp4", footage(144), replace(PAUSE, pts=pts))
    first, second = split(path, tmp_path, min_seconds=2.0).clips
    assert (first.scores["num_frames"], second.scores["num_frames"]) == (72, 72)
    assert (first.scores["start_seconds"], first.scores["seconds"]) == (0.0, 3.0)
    assert (second.scores["start_seconds"], second.scores["end_seconds"]) == (33.0, 36.0)
    assert frame_number(samples(tmp_path, first).at(0.9)) in range(60, 72)
    assert frame_number(samples(tmp_path, second).first()) == 72


def test_a_frame_between_two_pauses_is_sampled_itself(tmp_path: Path) -> None:
    # many frames a second before it, so that held frames are thinned out
    pts = [*range(0, 96, 6), 96 + 600, *(1400 + 6 * i for i in range(40))]
    path = write_video(tmp_path / "a.mp4", footage(len(pts)), replace(PAUSE, pts=pts))
    options = {"detector": "stride", "stride_seconds": 3600.0}
    lone = next(c for c in split(path, tmp_path, **options).clips if c.scores["num_frames"] == 1)
    found = samples(tmp_path, lone)
    assert {frame_number(found.at(f)) for f in (0.1, 0.5, 0.9)} == {16}
    assert frame_number(found.large_middle()) == 16


def test_a_long_scene_becomes_equal_clips(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(120), CLOSED)  # 5 s
    clips = split(path, tmp_path, min_seconds=0.5, max_seconds=2.0).clips
    assert [c.scores["num_frames"] for c in clips] == [40, 40, 40]
    assert [a.end_pts for a in clips[:-1]] == [b.start_pts for b in clips[1:]]
    for clip in clips:  # each with samples of its own, close to where they are asked for
        found = samples(tmp_path, clip)
        middle = clip.scores["start_frame"] + 20  # type: ignore[operator]
        assert abs(frame_number(found.middle()) - middle) <= 3
        assert abs(frame_number(found.large_middle()) - middle) <= 3
        assert 5 <= len(found.pairs) <= 7


def test_truncate_keeps_the_beginning_only(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(120), CLOSED)
    (clip,) = split(path, tmp_path, max_seconds=2.0, long_scenes="truncate").clips
    assert (clip.scores["start_frame"], clip.scores["num_frames"]) == (0, 48)


def test_stride_cuts_without_looking(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(100, (30,)), CLOSED)
    clips = split(path, tmp_path, detector="stride", stride_seconds=1.5).clips
    assert [c.scores["start_frame"] for c in clips] == [0, 36, 72]
    assert all(len(samples(tmp_path, c).pairs) >= 3 for c in clips)


def test_panda_cuts_long_scenes_by_its_rule(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(120, (30,)), CLOSED)  # scenes of 1.25 and 3.75 s
    clips = split(path, tmp_path, detector="panda", panda_seconds=1.0).clips
    assert [c.scores["num_frames"] for c in clips] == [
        30,
        24,
        66,
    ]  # 3.75 > 1 + 2, the rest 2.75 is not


def test_pairs_never_join_two_scenes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(90, (30, 60), style="static"), CLOSED)
    for clip in split(path, tmp_path, flow_fps=30).clips:
        assert (
            max(p.change for p in samples(tmp_path, clip).pairs) < 10
        )  # from one scene to the other it is 40


def test_a_scene_much_longer_than_what_is_held_keeps_its_points(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", footage(480, size=(64, 40)), CLOSED
    )  # 20 s, one scene, no limit
    (clip,) = split(path, tmp_path, max_seconds=None).clips
    found = samples(tmp_path, clip)
    assert len(found.times) == 20
    for fraction in (0.1, 0.25, 0.5, 0.75, 0.9):
        nearest = min(abs(p.seconds - 20 * fraction) for p in found.measures.pictures)
        assert nearest <= 20 / 16


def test_an_image_is_one_clip_without_times(tmp_path: Path) -> None:
    probed = {"media_type": "image"}
    (clip,) = split(write_image(tmp_path / "a.png"), tmp_path, probed).clips
    assert (clip.index, clip.start_pts, clip.end_pts) == (0, 0, 1)
    assert (clip.scores["num_frames"], clip.scores["fps"], clip.scores["seconds"]) == (
        1,
        None,
        None,
    )
    assert clip.scores["hash_first"] == clip.scores["hash_middle"] is not None
    found = samples(tmp_path, clip)
    assert frame_number(found.middle()) == frame_number(found.large_middle()) == 5
    assert found.times == [0.0] and not found.pairs


def test_one_frame_makes_one_clip(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(1), CLOSED)
    (clip,) = split(path, tmp_path).clips
    assert clip.scores["num_frames"] == 1 and clip.end_pts > clip.start_pts
    assert frame_number(samples(tmp_path, clip).middle()) == 0


def test_black_frames_have_no_hash(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", footage(30, style="black"), CLOSED)
    (clip,) = split(path, tmp_path).clips
    assert clip.scores["hash_first"] is None and clip.scores["hash_middle"] is None


@pytest.mark.parametrize("kind", [k for k in BAD if k != "image"])
def test_what_cannot_be_read_fails_and_leaves_no_archive(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MediaError):
        split(draw_bad(kind, tmp_path), tmp_path)
    assert not list(Settings(home=tmp_path).samples.rglob("*.zip*"))


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_left_of_a_damaged_video_is_split(tmp_path: Path, kind: str) -> None:
    path = draw_bad(kind, tmp_path)
    clips = split(path, tmp_path).clips
    assert sum(c.scores["num_frames"] for c in clips) == len(shown(path))  # type: ignore[misc]


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
@pytest.mark.parametrize("first", [0, 1])
def test_pictures_of_another_codec_in_the_same_stream_are_not_lost_in_silence(
    tmp_path: Path, codec: str, first: int
) -> None:
    names = ["h264", codec]
    parts = [
        write_video(tmp_path / f"{n}.ts", footage(30), encoding).read_bytes()
        for n, encoding in enumerate([CLOSED, Encoding(codec)])
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(parts[first] + parts[1 - first])
    with pytest.raises(OtherCodec) as raised:
        split(path, tmp_path, probe_video(str(path)))
    told = raised.value.fields
    assert (told["before"], told["codec"]) == (names[first], names[1 - first])
    assert not list(Settings(home=tmp_path).samples.rglob("*.zip*"))


def test_damage_is_not_taken_for_another_codec(tmp_path: Path) -> None:
    raw = bytearray(write_video(tmp_path / "a.ts", footage(48), CLOSED).read_bytes())
    for start in range(len(raw) // 4, len(raw) // 2, 188):
        raw[start + 8 : start + 188] = bytes(180)
    path = tmp_path / "b.ts"
    path.write_bytes(raw)
    assert split(path, tmp_path, {"num_frames": 48}).scores["frames_decoded"] < 43  # type: ignore[operator]


# ---------------------------------------------------------------- learned detectors


class Differences:
    """A network: a frame ends a shot where the next one differs; dark frames are a transition."""

    window = WINDOW

    def predict(self, frames: Any) -> tuple[Any, Any]:
        means = frames.astype(np.float32).mean(axis=(1, 2))
        cuts = np.append(np.abs(np.diff(means, axis=0)).max(axis=1) > 12, False)
        return cuts.astype(np.float32), (means.max(axis=1) < 60).astype(np.float32)


def learned(path: Path, home: Path, **options: Any) -> Outcome:
    values = {"min_seconds": 0.0, "detector": "learned", **options}
    stage = Split(Split.Options.model_validate(values), Context(Settings(home=home)))
    stage._network = Differences()
    return stage.run(Video(1, 1, str(path), path.name, {}))


@pytest.mark.parametrize("detector", ["learned", "gated"])
def test_a_learned_detector_finds_cuts_in_the_one_pass(tmp_path: Path, detector: str) -> None:
    """Also where the first frame of a scene was scaled down while the network was waited for."""
    cuts = (40, 90)
    path = write_video(tmp_path / "a.mp4", footage(130, cuts, size=(1000, 300)), CLOSED)
    outcome = learned(path, tmp_path, detector=detector)
    assert [clip.scores["start_frame"] for clip in outcome.clips] == [0, *cuts]
    assert outcome.scores["frames_in_transitions"] is None
    for clip in outcome.clips:
        first = samples(tmp_path, clip).first()
        assert frame_number(first) == clip.scores["start_frame"]


def test_frames_of_transitions_are_in_no_clip_and_all_frames_are_counted(tmp_path: Path) -> None:
    frames = list(footage(150, (70,)))
    for index in range(64, 76):
        frames[index] = frames[index] // 8
    path = write_video(tmp_path / "a.mp4", frames, CLOSED)
    outcome = learned(path, tmp_path, transitions="trim")
    spans = [(c.scores["start_frame"], c.scores["num_frames"]) for c in outcome.clips]
    assert spans == [(0, 64), (76, 74)]
    counts = [outcome.scores[f"frames_{n}"] for n in ("decoded", "leftover", "unplaced")]
    assert counts == [150, 12, 0]
    assert outcome.scores["frames_in_transitions"] == 12
    first, second = outcome.clips
    assert first.end_pts < second.start_pts
    sides = [(c.scores["transition_before"], c.scores["transition_after"]) for c in outcome.clips]
    assert sides == [(0, 12), (12, 0)]
    kept = learned(path, tmp_path, transitions="keep")
    assert "transition_before" not in kept.clips[0].scores
    assert [c.scores["start_frame"] for c in kept.clips] == [0, 70]


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        # pieces of a long scene have a transition at its ends alone
        ({"max_seconds": 2.0}, [(0, 0), (0, 12), (12, 0), (0, 0)]),
        # what is cut off lies between the clip and the transition
        ({"max_seconds": 2.0, "long_scenes": "truncate"}, [(0, 0), (12, 0)]),
        # so does a scene that is too short for a clip
        ({"min_seconds": 3.0}, [(12, 0)]),
    ],
)
def test_a_transition_is_told_where_it_touches_a_clip(
    tmp_path: Path, options: dict[str, Any], sides: list[tuple[int, int]]
) -> None:
    frames = list(footage(160, (70,)))
    for index in range(64, 76):
        frames[index] = frames[index] // 8
    path = write_video(tmp_path / "a.mp4", frames, CLOSED)
    clips = learned(path, tmp_path, transitions="trim", **options).clips
    assert [(c.scores["transition_before"], c.scores["transition_after"]) for c in clips] == sides


def test_scenes_may_be_so_many_seconds_long(tmp_path: Path) -> None:
    """At a frame a second, 15 frames would be a quarter of a minute."""
    encoding = replace(CLOSED, rate=Fraction(1))
    path = write_video(tmp_path / "a.mp4", footage(40, (6, 12, 18, 30)), encoding)
    cuts = {
        length: [
            c.scores["start_frame"]
            for c in split(path, tmp_path, min_scene_len=length, max_seconds=None).clips
        ]
        for length in (15, "0.6s", "6s", "6.5s")
    }
    assert cuts["0.6s"] == cuts["6s"] == [0, 6, 12, 18, 30]
    assert len(cuts["6.5s"]) < 5 and len(cuts[15]) < 4


def test_of_a_frame_a_second_the_network_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Differences, "predict")
    encoding = replace(CLOSED, rate=Fraction(1))
    path = write_video(tmp_path / "a.mp4", footage(40, (6, 12, 18, 30)), encoding)
    options = {"min_scene_len": "0.6s", "max_seconds": None, "transitions": "trim"}
    outcome = learned(path, tmp_path, threshold=0.4, **options)
    assert [clip.scores["start_frame"] for clip in outcome.clips] == [0, 6, 12, 18, 30]
    assert outcome.scores["frames_in_transitions"] == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"detector": "content", "transitions": "trim"}, "by the detectors learned and gated"),
        ({"detector": "learned", "stitch": True}, "cuts of adaptive, content and panda"),
        ({"detector": "gated", "threshold": 3.0}, "a probability below 1"),
        ({"min_scene_len": "6m"}, "min_scene_len"),
        ({"min_scene_len": 0}, "min_scene_len"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Split.Options(**options)


def test_a_learned_detector_needs_its_weights_and_its_runtime(
    hide_package: Callable[[str], None],
) -> None:
    options = Split.Options(detector="gated", model="mine")
    assert Split.models(options) == (Need("transnetv2", "mine"),)
    assert Split.models(Split.Options()) == ()
    hide_package("onnxruntime")
    Split.check(Split.Options())
    Split.check(Split.Options(detector="learned", queue="ascend"))
    with pytest.raises(PackageMissing, match=r"pip install 'onnxruntime>=1\.20'"):
        Split.check(options)
