"""Clips cut to their bucket have exactly its size and frames, and show what they should."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.row_errors import CutMismatch
from curate.tasks.bucket import Bucket, BucketOptions
from curate.tasks.cut import Cut, CutOptions
from curate.tasks.stage import Outcome
from tests import media
from tests.tasks.test_cut import clips, stage, with_pyav


def cut(path: Path, folder: Path, bucket: str | None, frames: int = 48, **options: Any) -> Outcome:
    (clip,) = clips(path, [(0, frames)])
    clip = replace(clip, values={**clip.values, "bucket": bucket, "start_seconds": 1.0})
    return stage(folder, preset="ultrafast", crf=10, **options).run(clip)


def pictures(outcome: Outcome) -> list[NDArray[np.uint8]]:
    with av.open(str(outcome.scores["path"])) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize(
    "kind", ["closed", "rotated90", "rotated270", "anamorphic", "odd", "ten_bit", "vfr", "webm"]
)
@pytest.mark.parametrize("bucket", ["64x96x9", "96x64x25", "32x160x41"])
def test_a_file_has_the_size_and_frames_of_its_bucket(
    kind: str, bucket: str, fit: str, tmp_path: Path
) -> None:
    height, width, count = map(int, bucket.split("x"))
    found = cut(media.draw(kind, tmp_path).path, tmp_path, bucket, fit=fit)
    assert {p.shape for p in pictures(found)} == {(height, width, 3)}
    assert len(pictures(found)) == count
    scores = found.scores
    assert (scores["num_frames"], scores["height"], scores["width"]) == (count, height, width)
    assert scores["aspect_ratio"] == height / width and scores["resolution"] == height * width


def test_the_first_frames_are_those_of_the_clip_at_their_times(tmp_path: Path) -> None:
    source = media.draw("vfr", tmp_path)
    found = cut(source.path, tmp_path, "48x80x17", fit="pad")  # the bar code is whole in it
    with av.open(str(found.scores["path"])) as container:
        shown = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        length = float(container.streams.video[0].duration * container.streams.video[0].time_base)
    assert [media.frame_number(p) for _, p in shown] == list(range(17))
    assert [t for t, _ in shown] == pytest.approx(source.seconds[:17], abs=0.002)
    assert length == pytest.approx(source.seconds[17], abs=0.002)
    assert found.scores["seconds"] == pytest.approx(source.seconds[17], abs=0.001)
    assert found.scores["end_seconds"] == pytest.approx(1 + source.seconds[17], abs=0.001)
    assert found.scores["fps"] == pytest.approx(17 / source.seconds[17], rel=0.001)


def test_a_crop_shows_the_middle_and_bars_stand_on_both_sides(tmp_path: Path) -> None:
    # columns of 20 pixels: black, red, green, blue, ..., so that places can be told
    column = np.repeat(np.arange(8) * 30 + 20, 20).astype(np.uint8)
    image = np.repeat(np.repeat(column[None, :, None], 3, axis=2), 96, axis=0)
    path = media.write_video(tmp_path / "a.mp4", [image] * 9, media.CLOSED)
    (cropped, *_) = pictures(cut(path, tmp_path, "96x80x9", 9, fit="crop"))
    assert np.abs(cropped[48, :, 0].astype(int) - column[40:120]).max() < 12
    (padded, *_) = pictures(cut(path, tmp_path, "96x80x9", 9, fit="pad"))
    rows = padded[:, 40].mean(axis=1)
    assert rows[:20].max() < 8 and rows[-20:].max() < 8, "black above and below"
    assert rows[28:68].min() > 40
    assert np.abs(padded[48, 5:75, 0].astype(int) - column[10:150:2]).max() < 40


def test_a_clip_of_the_bucket_s_own_size_is_only_trimmed(tmp_path: Path) -> None:
    path = media.draw("closed", tmp_path).path
    for fit in ("crop", "pad"):
        trimmed = cut(path, tmp_path, "96x160x9", fit=fit)
        assert with_pyav(trimmed) == list(range(9))


def test_a_clip_without_a_bucket_stays_whole(tmp_path: Path) -> None:
    found = cut(media.draw("closed", tmp_path).path, tmp_path, None, fit="crop")
    assert with_pyav(found) == list(range(48))
    assert found.scores["num_frames"] == 48


def test_a_bucket_is_nothing_to_clips_that_shall_not_fit(tmp_path: Path) -> None:
    found = cut(media.draw("closed", tmp_path).path, tmp_path, "64x64x9")
    assert with_pyav(found) == list(range(48))


def test_frames_of_a_bucket_are_those_at_the_target_rate(tmp_path: Path) -> None:
    path = media.draw("closed", tmp_path).path  # 24 a second
    found = cut(path, tmp_path, "48x80x17", fit="pad", target_fps=12)
    assert [media.frame_number(p) for p in pictures(found)] == list(range(0, 34, 2))
    assert (found.scores["fps"], found.scores["seconds"]) == (12, pytest.approx(17 / 12))


def test_a_clip_with_just_the_frames_of_its_bucket_has_its_length_too(tmp_path: Path) -> None:
    path = media.draw("closed", tmp_path).path
    # 37 frames at 24 a second are 24.67 at 16
    found = cut(path, tmp_path, "64x96x25", 37, fit="crop", target_fps=16)
    assert len(pictures(found)) == 25
    assert (found.scores["fps"], found.scores["seconds"]) == (16, 25 / 16)


@pytest.mark.parametrize(
    "options",
    [{"fit": "crop"}, {"fit": "pad", "target_fps": 16}, {"target_fps": 12}, {"shorter_size": 48}],
    ids=str,
)
def test_a_clip_is_cut_again_from_the_row_that_it_has_afterwards(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """As `verify --repair` does: num_frames and the size in the row are those of the file."""
    (clip,) = clips(media.draw("closed", tmp_path).path, [(0, 37)])
    clip = replace(clip, values={**clip.values, "bucket": "64x96x25", "start_seconds": 1.0})
    cutter = stage(tmp_path, preset="ultrafast", **options)
    first = cutter.run(clip)
    file = Path(first.scores["path"])
    before = file.read_bytes()
    file.unlink()
    again = cutter.run(replace(clip, values={**clip.values, **first.scores}))
    assert again == first and file.read_bytes() == before


def test_sound_ends_with_the_last_frame(tmp_path: Path) -> None:
    found = cut(media.draw("audio", tmp_path).path, tmp_path, "64x96x13", fit="crop", audio=True)
    with av.open(str(found.scores["path"])) as container:
        samples = sum(f.samples for f in container.decode(audio=0))
    assert samples / 48000 == pytest.approx(13 / 24, abs=0.05)


def test_a_clip_with_too_few_frames_fails_instead_of_being_short(tmp_path: Path) -> None:
    with pytest.raises(CutMismatch, match="49"):
        cut(media.draw("closed", tmp_path).path, tmp_path, "64x96x49", fit="crop")


def pipeline(**options: Any) -> Pipeline:
    return Pipeline((StageStep("bucket", Bucket, BucketOptions(table="480p", **options)),))


def test_fit_needs_the_stage_before_it_and_the_same_rate() -> None:
    with pytest.raises(ConfigError, match="put the stage bucket before it"):
        Cut.check_before(CutOptions(fit="crop"), Pipeline(()))
    with pytest.raises(ConfigError, match=r"target_fps is 16, and bucket\.fps null"):
        Cut.check_before(CutOptions(fit="pad", target_fps=16), pipeline())
    Cut.check_before(CutOptions(fit="pad", target_fps=16), pipeline(fps=16))
    Cut.check_before(CutOptions(target_fps=16), pipeline(fps=Fraction(24)))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"fit": "crop", "mode": "copy"}, "use mode encode"),
        ({"fit": "pad", "shorter_size": 480}, "leave out shorter_size"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        CutOptions(**options)


@pytest.mark.parametrize("options", [{}, {"shorter_size": 40}, {"fit": "crop"}, {"fit": "pad"}])
def test_bars_are_cut_away(tmp_path: Path, options: dict[str, Any]) -> None:
    bars = np.zeros((120, 200, 3), np.uint8)
    frames = []
    for number in range(6):
        bars[13:109, 21:181] = media.picture(number)
        frames.append(bars.copy())
    path = media.write_video(tmp_path / "a.mp4", frames, replace(media.CLOSED, pix_fmt="yuv444p"))
    (clip,) = clips(path, [(0, 6)])
    values = {"bucket": "56x94x6", "border_box": "[21, 13, 160, 96]", "start_seconds": 0.0}
    clip = replace(clip, values={**clip.values, **values})
    found = stage(tmp_path, preset="ultrafast", crf=1, crop_borders=True, **options).run(clip)
    assert [media.frame_number(p) for p in pictures(found)] == list(range(6))
    height, width = pictures(found)[0].shape[:2]
    sizes = {"fit": (94, 56), "shorter_size": (68, 40)}
    assert (width, height) == sizes.get(next(iter(options), ""), (158, 94))
    assert (found.scores["width"], found.scores["height"]) == (width, height)
    if options.get("fit") != "pad":
        edges = [side.mean(axis=(0, 1)).max() for side in np.array_split(pictures(found)[0], 8)]
        assert min(edges) > 30


def test_bars_are_cut_away_only_where_they_were_looked_for() -> None:
    with pytest.raises(ConfigError, match="crop_borders goes by the stage borders"):
        Cut.check_before(CutOptions(crop_borders=True), Pipeline(()))
