"""Runs networks by ONNX Runtime on the CPU, mostly by one thread: other cores do other clips."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from curate.configs.errors import BadModel, PackageMissing
from curate.configs.packages import install
from curate.tasks.models import device
from curate.tasks.models.catalog import ModelKind
from curate.tasks.models.tokenizer_file import check_tokenizers

_ON_CPUS: tuple[ModelKind, ...] = ("clip", "lpips")


def has_onnx_runtime() -> bool:
    """Whether ONNX Runtime is installed. Does not import it."""
    return importlib.util.find_spec("onnxruntime") is not None


def on_onnx(kind: ModelKind, setting: str) -> bool:
    """Whether a model that an NPU runs by MindSpore runs here on ONNX Runtime: CLIP and LPIPS do,
    on a CPU, unless MindSpore alone is installed. `setting` is that of the device.
    """
    on_cpu = kind in _ON_CPUS and device.target_of(setting) == "CPU"
    return on_cpu and (has_onnx_runtime() or not device.has_mindspore())


def check_engine(kind: ModelKind, setting: str) -> None:
    """Raise PackageMissing if what runs a model on the queue ascend is not installed here."""
    if on_onnx(kind, setting):
        check_onnx_runtime("Running models")
    else:
        device.check_installed()


def check_onnx_runtime(what: str) -> None:
    """Raise PackageMissing if ONNX Runtime, which `what` needs, is not installed.

    Does not import it.
    """
    if not has_onnx_runtime():
        how = install("onnxruntime")
        raise PackageMissing(what=what, package="onnxruntime", install=how)


def check_queue(queue: str, what: str, reads_texts: bool = False) -> None:
    """Raise PackageMissing if `what` is on the queue cpu, whose processes never load MindSpore, and
    ONNX Runtime is not installed; nor tokenizers, where it `reads_texts`.
    """
    if queue == "cpu":
        check_onnx_runtime(f"{what} on the queue cpu")
        if reads_texts:
            check_tokenizers(f"{what} on the queue cpu")


def device_of(queue: str, setting: str, what: str) -> str:
    """The device of a network that may run on ONNX Runtime: the setting's, and on the queue cpu
    always the CPU.

    Raises PackageMissing, as `check_queue`.
    """
    check_queue(queue, what)
    return "CPU" if queue == "cpu" else setting


def onnx_runtime(what: str) -> Any:
    """The module onnxruntime. Raises PackageMissing: `what` needs it."""
    check_onnx_runtime(what)
    return importlib.import_module("onnxruntime")


def onnx_session(source: bytes | Path, what: str, path: Path, threads: int = 1) -> Any:
    """An InferenceSession of an ONNX file, or of its content.

    Raises PackageMissing; BadModel, naming `path`, if ONNX Runtime cannot use it.
    """
    runtime = onnx_runtime(what)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # threads that spin while they wait would take the cores of other processes
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    # memory that is kept for the next batch: twice as much for TransNetV2, and not faster
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    graph = source if isinstance(source, bytes) else str(source)
    try:
        return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        why = f"ONNX Runtime cannot use it: {' '.join(str(error).split())[:200]}"
        raise BadModel(path=path, why=why) from error
