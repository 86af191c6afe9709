"""Loads a model and runs it once, for `curate models check`: does it work, how fast, how big?"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.configs.settings import Settings
from curate.tasks.captioners.pllava import Pllava
from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl
from curate.tasks.captioners.qwen2_vl import Qwen2Vl
from curate.tasks.captioners.sharegpt4v import ShareGpt4v, ShareGpt4vRunOptions
from curate.tasks.models import device
from curate.tasks.models.catalog import Captioner, ModelKind
from curate.tasks.models.embeddings import unit
from curate.tasks.models.heads import WIDTH, aesthetic_head, nsfw_head
from curate.tasks.models.towers import image_tower, text_tower
from curate.tasks.models.vgg import lpips_model

Floats = NDArray[np.float32]
Run = Callable[[], Floats]  # one batch through the model

CAPTIONERS: dict[Captioner, Any] = {
    "pllava": Pllava,
    "qwen2_vl": Qwen2Vl,
    "qwen2_5_vl": Qwen25Vl,
    "sharegpt4v": ShareGpt4v,
}


def trial(
    kind: ModelKind, folder: Path, settings: Settings, tower: Path | None = None
) -> dict[str, float | str]:
    """Figures of one batch: device, load_seconds, first_seconds, again_seconds (wall), peak_mb.

    first_seconds includes compiling. Raises BadModel, NoDevice, PackageMissing; BadModel also if
    the outputs are not finite.
    """
    started = time.perf_counter()
    run, batch = _loaded(kind, folder, settings.device, tower)
    networks = kind not in ("aesthetic", "nsfw")
    where = device.start(settings.device).target if networks else "NumPy"
    loaded = time.perf_counter()
    try:
        finite = bool(np.isfinite(run()).all())
    except FloatingPointError:
        finite = False
    if not finite:
        why = "its outputs are NaN or infinite: the numbers in the file are damaged"
        raise BadModel(path=folder, why=why)
    first = time.perf_counter()
    run()
    again = time.perf_counter()
    return {
        "device": f"{where}, {batch}",
        "load_seconds": loaded - started,
        "first_seconds": first - loaded,
        "again_seconds": again - first,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _loaded(kind: ModelKind, folder: Path, setting: str, tower: Path | None) -> tuple[Run, str]:
    """A function that runs one batch of the loaded model, and a description of the batch."""
    random = np.random.default_rng(0)
    match kind:
        case "clip":
            image, text = image_tower(folder, setting), text_tower(folder, setting)
            shape = (image.batch, 3, image.side, image.side)
            pixels = random.standard_normal(shape, np.float32)
            return (
                lambda: np.concatenate([image.embed(pixels), text.embed(["a dog on a beach"])]),
                f"{image.batch} pictures and a text",
            )
        case "aesthetic" | "nsfw":
            head = aesthetic_head(folder) if kind == "aesthetic" else nsfw_head(folder)
            embeddings = unit(random.standard_normal((64, WIDTH), np.float32))
            return lambda: head.score(embeddings), "64 embeddings"
        case "lpips":
            lpips = lpips_model(folder, setting)
            pictures = list(random.integers(0, 256, (2, 224, 224, 3), np.uint8))
            return (
                lambda: np.array([lpips.distance(*lpips.features(pictures))], np.float32),
                "2 pictures",
            )
        case _:
            options = ShareGpt4vRunOptions(tower=tower) if kind == "sharegpt4v" else None
            captioner = CAPTIONERS[kind](folder, setting, options=options)
            frames = random.integers(0, 256, (4, 336, 448, 3), np.uint8)
            # NaN scores of tokens raise FloatingPointError
            return (
                lambda: np.array(
                    [captioner.caption(frames, "What is seen?", 8).tokens], np.float32
                ),
                "4 frames and at most 8 words",
            )
