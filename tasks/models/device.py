"""All that curate knows of devices: Ascend NPUs and CPUs. Imports MindSpore only on demand.

A worker process uses one device. On a host with several NPUs the process that starts the workers
assigns one to each by ASCEND_RT_VISIBLE_DEVICES, which must be set before MindSpore is imported;
the worker then sees its NPU as number 0. Nothing here was run on an NPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from curate.configs.errors import DeviceMemory, NoDevice, PackageMissing
from curate.configs.packages import install

Target = Literal["Ascend", "CPU"]
Dtype = Literal["auto", "float32", "float16"]

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
_DEVICES = Path("/dev")
MINDONE = "0.5.0"  # mindone_light relies on its private layout
# MindSpore's messages for failed allocations on CPUs and NPUs; it has no exception class for them
_NO_MEMORY = re.compile(
    r"alloc\w*( \w+){0,2} fail|out of memory|memory (isn't|not) enough", re.IGNORECASE
)
INSTALL_MINDONE = f"pip install --no-deps mindone=={MINDONE}"
INSTALL = f"{install('mindspore')} && {INSTALL_MINDONE}"


@dataclass(frozen=True)
class Device:
    """The device that runs models in this process."""

    target: Target

    def weights_dtype(self, requested: Dtype) -> Literal["float16", "float32"]:
        """The dtype of weights in memory.

        On an NPU it is the one requested, or float16 for `auto`. On the CPU it is always float32,
        because MindSpore's half-precision kernels are missing or slow there.
        """
        return "float32" if self.target == "CPU" or requested == "float32" else "float16"


def npus(environ: Mapping[str, str] = os.environ, folder: Path = _DEVICES) -> list[int]:
    """The numbers of this host's NPUs that this process may use, ascending.

    Loads no driver: an NPU is a device file davinci<number>. ASCEND_RT_VISIBLE_DEVICES (numbers and
    commas) limits the selection.
    """
    names = [p.name.removeprefix("davinci") for p in folder.glob("davinci[0-9]*")]
    present = sorted(int(n) for n in names if n.isdecimal())
    if VISIBLE not in environ:
        return present
    allowed = {int(n) for n in environ[VISIBLE].split(",") if n.strip().isdecimal()}
    return [n for n in present if n in allowed]


def pinned(npu: int) -> dict[str, str]:
    """The environment that restricts a process to this NPU."""
    return {VISIBLE: str(npu)}


def target_of(setting: str) -> Target:
    """The target that the setting CURATE_DEVICE names.

    `auto` means Ascend if this process may use an NPU, otherwise the CPU.
    """
    if setting in ("Ascend", "CPU"):
        return "Ascend" if setting == "Ascend" else "CPU"
    return "Ascend" if npus() else "CPU"


def threads() -> int:
    """How many threads a network may use in this process: OMP_NUM_THREADS, which workers set; 1
    without it.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(given)) if given.isdecimal() else 1


@cache
def start(setting: str) -> Device:
    """Select the device of this process, before its first MindSpore operation.

    Raises PackageMissing, NoDevice. Do not call this in a process that forks: a child forked after
    MindSpore's first operation hangs.
    """
    ms = mindspore()
    target = target_of(setting)
    try:
        ms.set_device(target, 0) if target == "Ascend" else ms.set_device(target)
    except (RuntimeError, ValueError) as error:
        raise NoDevice(device=target, why=_why(error)) from error
    if target == "CPU":
        # asynchronous dispatch wastes CPU time where there is no device to wait for
        ms.set_context(pynative_synchronize=True)
    return Device(target)


@contextmanager
def device_errors(device: Device) -> Iterator[None]:
    """Turn MindSpore's errors in the block into NoDevice, or DeviceMemory if memory is short.

    Networks get finite inputs of one shape: if one fails, the device or its memory is to blame, not
    the clip.
    """
    try:
        yield
    except RuntimeError as error:
        kind = DeviceMemory if _NO_MEMORY.search(str(error)) else NoDevice
        raise kind(device=device.target, why=_why(error)) from error


def _why(error: Exception) -> str:
    """MindSpore's message on one line, without its internal stack trace."""
    return " ".join(str(error).partition("- C++ Call Stack")[0].split()).rstrip("-!. ")[:300]


def has_mindspore() -> bool:
    """Whether MindSpore is installed. Does not import it."""
    return importlib.util.find_spec("mindspore") is not None


def check_installed() -> None:
    """Raise PackageMissing if a package that models need is missing. Imports none of them."""
    for package in ("mindspore", "mindone", "transformers", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            raise PackageMissing(what="Running models", package=package, install=INSTALL)


@cache
def mindspore() -> Any:
    """The module mindspore, with its warnings silenced. Raises PackageMissing."""
    check_installed()
    os.environ.setdefault("GLOG_v", "3")  # errors only; read at import
    return importlib.import_module("mindspore")
