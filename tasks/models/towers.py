"""CLIP's towers for stages, searches and trials, on the engine that suits the device.

An NPU runs them by MindSpore; a CPU by ONNX Runtime where that is installed, and otherwise by
MindSpore. Embeddings differ by the rounding of float32, so vectors of both may be compared.
"""

from __future__ import annotations

from pathlib import Path

from curate.tasks.models.clip_tower import ImageTower, TextTower
from curate.tasks.models.device import Dtype
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_session import on_onnx
from curate.tasks.models.towers_mindspore import MindSporeImageTower, MindSporeTextTower
from curate.tasks.models.towers_onnx import OnnxImageTower, OnnxTextTower


def image_tower(
    folder: Path, setting: str = "auto", dtype: Dtype = "auto", batch: int | None = None
) -> ImageTower:
    """The image tower of a folder, shared within the process.

    Raises BadModel, NoDevice, PackageMissing.
    """
    if on_onnx("clip", setting):
        return cached_model(OnnxImageTower, folder, batch)
    return cached_model(MindSporeImageTower, folder, setting, dtype, batch)


def text_tower(
    folder: Path, setting: str = "auto", dtype: Dtype = "auto", batch: int | None = None
) -> TextTower:
    """The text tower of a folder, shared within the process; `batch` texts pass MindSpore's at a
    time.

    Raises BadModel, NoDevice, PackageMissing.
    """
    if on_onnx("clip", setting):
        return cached_model(OnnxTextTower, folder)
    return cached_model(MindSporeTextTower, folder, setting, dtype, batch)


def search_tower(folder: Path) -> TextTower:
    """As `text_tower`, for a search: it takes one text at a time, on the CPU.

    An NPU would be started for it beside the worker that has it.
    """
    return text_tower(folder, "CPU", batch=1)
