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
from curate.tasks.captioners.internvl import InternVl
from curate.tasks.captioners.pllava import Pllava
from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl
from curate.tasks.captioners.qwen2_vl import Qwen2Vl
from curate.tasks.captioners.qwen3_vl import Qwen3Vl
from curate.tasks.captioners.sharegpt4v import ShareGpt4v, ShareGpt4vRunOptions
from curate.tasks.models import device
from curate.tasks.models.catalog import AS_PUBLISHED, Captioner, ModelKind
from curate.tasks.models.efficientnet import efficientnet
from curate.tasks.models.embeddings import unit
from curate.tasks.models.heads import aesthetic_head, nsfw_head
from curate.tasks.models.layouts import HEAD_WIDTH
from curate.tasks.models.minilm import minilm
from curate.tasks.models.onnx_session import on_onnx, onnx_session
from curate.tasks.models.towers import image_tower, text_tower
from curate.tasks.models.transnet import onnx_transnet
from curate.tasks.models.verify import published_files
from curate.tasks.models.vgg import lpips_model

Floats = NDArray[np.float32]
Run = Callable[[], Floats]  # one batch through the model

CAPTIONERS: dict[Captioner, Any] = {
    "pllava": Pllava,
    "qwen2_vl": Qwen2Vl,
    "qwen2_5_vl": Qwen25Vl,
    "qwen3_vl": Qwen3Vl,
    "internvl": InternVl,
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
    if kind in ("aesthetic", "nsfw"):
        where = "NumPy"
    elif (
        kind in AS_PUBLISHED
        or kind in ("transnetv2", "efficientnet_lite0")
        or on_onnx(kind, settings.device)
    ):
        where = "ONNX Runtime"
    else:
        where = device.start(settings.device).target
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
                f"{image.batch} picture{'s' * (image.batch > 1)} and a text",
            )
        case "aesthetic" | "nsfw":
            head = aesthetic_head(folder) if kind == "aesthetic" else nsfw_head(folder)
            embeddings = unit(random.standard_normal((64, HEAD_WIDTH), np.float32))
            return lambda: head.score(embeddings), "64 embeddings"
        case "lpips":
            lpips = lpips_model(folder, setting)
            pictures = list(random.integers(0, 256, (2, 224, 224, 3), np.uint8))
            return (
                lambda: np.array([lpips.distance(*lpips.features(pictures))], np.float32),
                "2 pictures",
            )
        case "transnetv2":
            network = onnx_transnet(folder)
            seen = random.integers(0, 256, (network.window, 27, 48, 3), np.uint8)
            return lambda: np.stack(network.predict(seen)), f"{network.window} frames"
        case "open_nsfw" | "centerface" | "silero_vad":
            return _onnx_batch(published_files(folder, kind)[0])
        case "efficientnet_lite0":
            lite0 = efficientnet(folder)
            photo = random.integers(0, 256, (224, 224, 3), np.uint8)
            return lambda: lite0.embed(photo), "a picture"
        case "minilm":
            sentences = minilm(folder)
            return lambda: sentences.embed("a dog on a beach").vector, "a text"
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


def _onnx_batch(file: Path) -> tuple[Run, str]:
    """A function that runs a published ONNX file on random numbers, and what they are.

    Sizes that the file leaves open become 1, but for the 224 x 224 pixels and the half second of
    sound that OpenNSFW and Silero VAD take.
    """
    session = onnx_session(file, "Running models", file)
    random = np.random.default_rng(0)
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    inputs: dict[str, Any] = {}
    for one in session.get_inputs():
        sizes = [size if isinstance(size, int) else 1 for size in one.shape]
        sizes = {"input": [1, 512], "sr": []}.get(one.name, sizes)
        numbers = random.random(sizes).astype(types[one.type])
        inputs[one.name] = np.array(16000, np.int64) if one.name == "sr" else numbers
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
    return lambda: np.concatenate([o.ravel() for o in session.run(None, inputs)]), shapes
