"""Loads a model and runs it once, as `curate models check` asks: does it work here, how fast, with
how much memory?
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.settings import Settings
from curate.tasks.models.catalog import Kind

Measured = dict[str, float | str]
Floats = NDArray[np.float32]


def trial(kind: Kind, folder: Path, settings: Settings, tower: Path | None = None) -> Measured:
    """What one batch took: device, load_seconds, first_seconds (with compiling), again_seconds
    (wall), peak_mb.

    Raises BadModel, NoDevice, PackageMissing; BadModel also when the outputs are no finite numbers.
    """
    started = time.perf_counter()
    run, where = (
        _sharegpt4v(folder, tower, settings)
        if kind == "sharegpt4v"
        else _LOADERS[kind](folder, settings)
    )
    loaded = time.perf_counter()
    try:
        _finite(run(), folder)
    except FloatingPointError:
        _finite(np.array([np.nan], np.float32), folder)
    first = time.perf_counter()
    run()
    again = time.perf_counter()
    return {
        "device": where, "load_seconds": loaded - started, "first_seconds": first - loaded,
        "again_seconds": again - first, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def _finite(found: Floats, folder: Path) -> None:
    from curate.configs.errors import BadModel

    if not np.isfinite(found).all():
        raise BadModel(
            path=folder, why="its outputs are NaN or infinite: the numbers in the file are damaged"
        )


def _clip(folder: Path, settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.models import device
    from curate.tasks.models.towers import image_tower, text_tower

    image, text = image_tower(folder, settings.device), text_tower(folder, settings.device)
    pictures = np.random.default_rng(0).standard_normal(
        (image.batch, 3, image.side, image.side), np.float32
    )

    def run() -> Floats:
        return np.concatenate([image.embed(pictures), text.embed(["a dog on a beach"])])

    return run, f"{device.start(settings.device).target}, {image.batch} pictures and a text"


def _aesthetic(folder: Path, _settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.models.heads import aesthetic_head

    head, embeddings = aesthetic_head(folder), _embeddings()
    return lambda: head.score(embeddings), "NumPy, 64 embeddings"


def _nsfw(folder: Path, _settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.models.heads import nsfw_head

    head, embeddings = nsfw_head(folder), _embeddings()
    return lambda: head.score(embeddings), "NumPy, 64 embeddings"


def _lpips(folder: Path, settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.models import device
    from curate.tasks.models.vgg import lpips_model

    model = lpips_model(folder, settings.device)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)

    def run() -> Floats:
        return np.array([model.distance(*model.features(list(pictures)))], np.float32)

    return run, f"{device.start(settings.device).target}, 2 pictures"


def _captioner(
    cls: Any, folder: Path, settings: Settings, options: Any = None
) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.models import device

    model = cls(folder, settings.device, options=options)
    frames = np.random.default_rng(0).integers(0, 256, (4, 336, 448, 3), np.uint8)

    def run() -> Floats:  # NaN among the scores of words raises
        return np.array([model.caption(frames, "What is seen?", 8).tokens], np.float32)

    return run, f"{device.start(settings.device).target}, 4 frames and at most 8 words"


def _pllava(folder: Path, settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.captioners.pllava import Pllava

    return _captioner(Pllava, folder, settings)


def _qwen2_vl(folder: Path, settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.captioners.qwen2_vl import Qwen2Vl

    return _captioner(Qwen2Vl, folder, settings)


def _qwen2_5_vl(folder: Path, settings: Settings) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl

    return _captioner(Qwen25Vl, folder, settings)


def _sharegpt4v(
    folder: Path, tower: Path | None, settings: Settings
) -> tuple[Callable[[], Floats], str]:
    from curate.tasks.captioners.sharegpt4v import ShareGpt4v, ShareGpt4vRunOptions

    return _captioner(ShareGpt4v, folder, settings, ShareGpt4vRunOptions(tower=tower))


def _embeddings() -> Floats:
    from curate.tasks.models.embeddings import unit
    from curate.tasks.models.heads import WIDTH

    return unit(np.random.default_rng(0).standard_normal((64, WIDTH), np.float32))


_LOADERS = {
    "clip": _clip, "aesthetic": _aesthetic, "nsfw": _nsfw, "lpips": _lpips,
    "pllava": _pllava, "qwen2_vl": _qwen2_vl, "qwen2_5_vl": _qwen2_5_vl,
}  # fmt: skip
