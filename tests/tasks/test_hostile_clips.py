"""Each stage that measures a clip, where little can be told: a value or NULL, never NaN.

Stages whose weights are not in the package are tried where CURATE_MODELS has them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.configs.pipeline import parse
from curate.configs.settings import Settings
from curate.tasks.embed_image import EmbedImage
from curate.tasks.probe import Probe
from curate.tasks.registry import stages
from curate.tasks.split import Split
from curate.tasks.stage import AscendOptions, Clip, Context, Scorer, Video
from tests.drawing import footage
from tests.media import CLOSED, Encoding, write_image, write_video

MODELS = Path(os.environ.get("CURATE_MODELS", "/none"))
FFV1 = Encoding("ffv1")


def flat(count: int, luma: int, size: tuple[int, int] = (64, 96)) -> Iterator[Any]:
    return (np.full((*size, 3), luma, np.uint8) for _ in range(count))


FILES: dict[str, Callable[[Path], Path]] = {
    "1 pixel": lambda d: write_video(
        d / "pixel.mkv", flat(30, 90, (1, 1)), replace(FFV1, pix_fmt="bgr0")
    ),
    "1 row": lambda d: write_video(
        d / "row.mkv", flat(30, 90, (1, 64)), replace(FFV1, pix_fmt="bgr0")
    ),
    "1 frame": lambda d: write_video(d / "frame.mp4", footage(1, ())),
    "black": lambda d: write_video(d / "black.mp4", flat(30, 0)),
    "one gray": lambda d: write_video(d / "flat.mp4", flat(30, 128)),
    "no colour": lambda d: write_video(
        d / "gray.mkv", footage(30, ()), replace(FFV1, pix_fmt="gray")
    ),
    "8K": lambda d: write_video(
        d / "8k.mkv", flat(1, 90, (4320, 7680)), Encoding("mjpeg", pix_fmt="yuvj420p")
    ),
    "alpha": lambda d: write_video(
        d / "alpha.mkv", footage(30, ()), replace(FFV1, pix_fmt="yuva420p")
    ),
    "0.1 s of sound": lambda d: write_video(
        d / "sound.mp4", footage(48, ()), replace(CLOSED, audio=0.1)
    ),
    "0.1 s": lambda d: write_video(d / "short.mp4", footage(2, ()), replace(CLOSED, audio=0.1)),
    "an image of 1 pixel": lambda d: write_image(d / "pixel.png", np.zeros((1, 1, 3), np.uint8)),
}


def measuring() -> list[str]:
    """The stages that need no MindSpore and no server; ocr has tests of its own, as it is slow."""
    return [
        name
        for name, cls in stages().items()
        if issubclass(cls, Scorer)
        and not issubclass(cls.Options, AscendOptions)
        and (name != "ocr" or MODELS.is_dir())
    ]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """A clip of each file, with the columns of probe and split."""
    home = tmp_path_factory.mktemp("hostile")
    steps = [{"stage": name} for name in ("probe", "split", *measuring())]
    context = Context(Settings(home=home), parse(steps, stages(), "test"))
    options = Split.Options(min_seconds=0)
    made = {}
    for number, (kind, draw) in enumerate(FILES.items(), 1):
        path = draw(home)
        probed = Probe(Probe.Options(), context).run(Video(number, 1, str(path), path.name, {}))
        video = Video(number, 1, str(path), path.name, dict(probed.scores))
        (new,) = Split(options, context).run(video).clips
        values: dict[str, Any] = dict(probed.scores)
        base = Fraction(values["time_base_num"] or 1, values["time_base_den"] or 1)
        span = new.start_pts, new.end_pts, base
        columns = {**new.scores, "text": None}
        made[kind] = Clip(number, 1, new.index, video, *span, columns, context.samples)
    return made


def test_embeddings_of_which_little_can_be_told(clips: dict[str, Clip]) -> None:
    if not (MODELS / "efficientnet-lite0").is_dir():
        pytest.skip("its weights are not installed")
    stage = EmbedImage(EmbedImage.Options(), Context(Settings(home=Path("/none"), models=MODELS)))
    stage.load()
    for kind, clip in clips.items():
        (table,) = stage.run(clip).tables
        for row in table.rows:
            vector = np.frombuffer(row["vector"], "<f2")
            assert vector.shape == (1280,) and np.isfinite(vector).all() and vector.any(), kind


@pytest.mark.parametrize("name", measuring())
def test_a_clip_of_which_little_can_be_told(name: str, clips: dict[str, Clip]) -> None:
    cls: Any = stages()[name]
    options = cls.Options()
    for need in cls.models(options):
        if not (MODELS / str(need.model)).is_dir():
            pytest.skip("its weights are not installed")
    stage = cls(options, Context(Settings(home=Path("/none"), models=MODELS)))
    stage.load()
    for kind, clip in clips.items():
        scores = stage.score(clip)
        assert scores and scores.keys() <= cls.columns.keys(), kind
        for column, value in scores.items():
            if value is not None and not isinstance(value, str):
                known = cls.columns[column]
                low, high = (known.low, known.high)
                assert math.isfinite(value), (kind, column)
                assert low is None or value >= low, (kind, column, value)
                assert high is None or value <= high, (kind, column, value)
