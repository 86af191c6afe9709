"""split and dedup together find edited copies of a clip, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curate.configs.pipeline import parse
from curate.configs.settings import Settings
from curate.tasks.dedup import Dedup
from curate.tasks.registry import stages
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.views import VIEWS, decode_views
from tests.media import Encoding, write_image, write_video

Frames = list[np.ndarray]
RATE = 8


def pan(seed: int, seconds: int = 4) -> Frames:
    """A view of 256 x 144 pixels that moves over a soft texture."""
    coarse = np.random.default_rng(seed).uniform(20, 235, (9, 30, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (480, 144), interpolation=cv2.INTER_CUBIC)
    texture = texture.clip(0, 255).astype(np.uint8)
    return [np.ascontiguousarray(texture[:, 6 * n : 6 * n + 256]) for n in range(RATE * seconds)]


def crop(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = (round(side * scale / 2) * 2 for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def mark(image: np.ndarray) -> np.ndarray:
    marked = image.copy()
    marked[6:22, 200:250] = 255
    return marked


EDITS: dict[str, Callable[[Frames], Frames]] = {
    "mirror": lambda frames: [np.ascontiguousarray(f[:, ::-1]) for f in frames],
    "mark": lambda frames: [mark(f) for f in frames],
    "crop_90": lambda frames: [crop(f, 0.9) for f in frames],
    "crop_80": lambda frames: [crop(f, 0.8) for f in frames],
    "crop_70": lambda frames: [crop(f, 0.7) for f in frames],
    "trim_start": lambda frames: frames[RATE:],
    "trim_end": lambda frames: frames[:-RATE],
    "letterbox_mark": lambda frames: [np.pad(mark(f), ((24, 24), (0, 0), (0, 0))) for f in frames],
    "letterbox": lambda frames: [np.pad(f, ((24, 24), (0, 0), (0, 0))) for f in frames],
    "mirror_crop_trim": lambda frames: [crop(f[:, ::-1], 0.8) for f in frames[RATE:]],
}


class Curate:
    """split and dedup with a setting of `views`, and with `borders` behind them or not."""

    def __init__(
        self,
        home: Path,
        views: str,
        method: str = "phash",
        threshold: int = 10,
        borders: bool = False,
    ) -> None:
        self._home = home
        steps: list[dict[str, Any]] = [
            {"stage": "probe"},
            {"stage": "split", "detector": "stride", "stride_seconds": 100, "min_seconds": 0},
            {"stage": "dedup", "views": views, "hash": method, "threshold": threshold},
            *([{"stage": "borders"}] if borders else []),
        ]
        pipeline = parse(steps, stages(), "test")
        context = Context(Settings(home=home), pipeline)
        self._split = Split(pipeline.by_name["split"].options, context)  # type: ignore[arg-type]
        self.dedup = Dedup(pipeline.by_name["dedup"].options, context)  # type: ignore[arg-type]

    def clip(self, number: int, frames: Frames) -> Clip:
        rate = Encoding(rate=Fraction(RATE))
        return self.clip_of(number, write_video(self._home / f"{number}.mp4", frames, rate))

    def clip_of(self, number: int, path: Path) -> Clip:
        probed = {"media_type": "image" if path.suffix == ".png" else "video"}
        video = Video(number, 1, str(path), path.name, probed)
        (new,) = self._split.run(video).clips
        return Clip(number, 1, 0, video, 0, 1, Fraction(1), new.scores, self._home)

    def found(self, *clips: Clip) -> list[Any]:
        return [outcome.scores["duplicate_of"] for outcome in self.dedup.run_batch(clips)]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_a_duplicate_and_so_is_the_source_after_it(
    tmp_path: Path, edit: str
) -> None:
    curate, source = Curate(tmp_path, "all"), pan(1)
    other, original = curate.clip(1, pan(2)), curate.clip(2, source)
    copy = curate.clip(3, EDITS[edit](source))
    assert curate.found(other, original, copy) == [None, None, 2]
    assert curate.found(other, copy, original) == [None, None, 3]


@pytest.mark.parametrize("hash_method", ["phash", "ahash", "dhash", "whash"])
@pytest.mark.parametrize("views", ["mirror", "all"])
def test_a_mirrored_copy_is_as_near_as_a_plain_one(
    tmp_path: Path, views: str, hash_method: str
) -> None:
    curate, source = Curate(tmp_path, views, hash_method, threshold=2), pan(1, 2)
    original, copy = curate.clip(1, source), curate.clip(2, EDITS["mirror"](source))
    assert curate.found(original, copy) == [None, 1]


@pytest.mark.parametrize("edit", ["crop_80", "trim_start"])
def test_without_views_these_copies_stay(tmp_path: Path, edit: str) -> None:
    curate, source = Curate(tmp_path, "none"), pan(1)
    assert curate.found(curate.clip(1, source), curate.clip(2, EDITS[edit](source))) == [None, None]


def boxed(image: np.ndarray) -> np.ndarray:
    """Narrower, between gray bars beside it and below."""
    small = cv2.resize(image, (192, 108), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((0, 36), (32, 32), (0, 0)), constant_values=90).astype(np.uint8)


@pytest.mark.parametrize("views", ["none", "all"])
@pytest.mark.parametrize("edit", [EDITS["letterbox"], lambda frames: [boxed(f) for f in frames]])
def test_bars_hide_no_copy_where_they_are_measured(
    tmp_path: Path, edit: Callable[[Frames], Frames], views: str
) -> None:
    source = pan(1, 2)
    blind, seeing = Curate(tmp_path, "none"), Curate(tmp_path, views, borders=True)
    assert blind.found(blind.clip(1, source), blind.clip(2, edit(source))) == [None, None]
    original, copy = seeing.clip(1, source), seeing.clip(2, edit(source))
    assert seeing.found(original, copy) == [None, 1]
    assert seeing.found(copy, original) == [None, 2]


def test_a_fade_is_no_bar_to_hashes_nor_is_a_picture_without_bars(tmp_path: Path) -> None:
    fade = [(f * min(1.0, n / RATE)).astype(np.uint8) for n, f in enumerate(pan(1, 3))]
    for frames in (fade, pan(2, 1)):
        plain, seeing = (Curate(tmp_path, "all", borders=seen).clip(1, frames)
                         for seen in (False, True))  # fmt: skip
        assert plain.values == seeing.values


def test_an_image_is_hashed_inside_its_bars(tmp_path: Path) -> None:
    curate, (image, *_) = Curate(tmp_path, "mirror", borders=True), pan(1)
    one = curate.clip_of(1, write_image(tmp_path / "a.png", image))
    barred = np.pad(image, ((24, 24), (0, 0), (0, 0)))
    other = curate.clip_of(2, write_image(tmp_path / "b.png", barred))
    assert curate.found(one, other) == [None, 1]


def test_different_clips_stay(tmp_path: Path) -> None:
    curate = Curate(tmp_path, "all")
    clips = [curate.clip(n, pan(n, 2)) for n in range(1, 9)]
    assert curate.found(*clips) == [None] * 8


def test_a_long_clip_is_no_duplicate_of_a_short_part_of_it(tmp_path: Path) -> None:
    curate, source = Curate(tmp_path, "all"), pan(1)
    part, whole = curate.clip(1, source[:RATE]), curate.clip(2, source)
    assert curate.found(part, whole) == [None, None]
    assert curate.found(whole, part) == [None, 2]


def test_a_cropped_image_is_found(tmp_path: Path) -> None:
    curate, (image, *_) = Curate(tmp_path, "all"), pan(1)
    large = cv2.resize(image, (1024, 576), interpolation=cv2.INTER_CUBIC)
    one = curate.clip_of(1, write_image(tmp_path / "a.png", large))
    other = curate.clip_of(2, write_image(tmp_path / "b.png", crop(large, 0.8)))
    assert curate.found(one, other) == [None, 1]
    assert [take.shape for take in decode_views(str(one["hash_views"]))] == [(1, VIEWS)]


@pytest.mark.parametrize("views", ["none", "mirror"])
def test_split_makes_views_only_when_they_are_compared(tmp_path: Path, views: str) -> None:
    assert "hash_views" not in Curate(tmp_path, views).clip(1, pan(1, 1)).values


@pytest.mark.parametrize(("views", "made"), [("none", False), ("mirror", True), ("all", True)])
def test_split_hashes_mirror_images_only_when_they_are_compared(
    tmp_path: Path, views: str, made: bool
) -> None:
    curate = Curate(tmp_path, views)
    clips = curate.clip(1, pan(1, 1)), curate.clip_of(2, write_image(tmp_path / "a.png"))
    for clip in clips:
        for name in ("hash_first_mirrored", "hash_middle_mirrored"):
            assert (clip[name] is not None) == made


def test_frames_of_the_first_seconds_are_hashed_four_times_a_second(tmp_path: Path) -> None:
    clip = Curate(tmp_path, "all").clip(1, pan(1, 3))
    assert [len(take) for take in decode_views(str(clip["hash_views"]))] == [12]
