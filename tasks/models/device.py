"""All that curate knows of devices: Ascend NPUs and, for everybody else, the CPU. Imports MindSpore
only when asked.

A worker process uses one device. On a host with several NPUs the process that starts the workers
gives each its own by ASCEND_RT_VISIBLE_DEVICES, which must be set before MindSpore is imported; the
worker then sees that one as number 0. Nothing here was run on an NPU.
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

Target = Literal["Ascend", "CPU"]
Dtype = Literal["auto", "float32", "float16"]

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
_DEVICES = Path("/dev")
MINDONE = "0.5.0"  # mindone_light uses its private layout
# how MindSpore says on CPUs and NPUs that an allocation failed; there is no class of its own for it
_NO_MEMORY = re.compile(
    r"alloc\w*( \w+){0,2} fail|out of memory|memory (isn't|not) enough", re.IGNORECASE
)
INSTALL_MINDONE = f"pip install --no-deps mindone=={MINDONE}"
INSTALL = f'pip install "curate[mindspore]" && {INSTALL_MINDONE}'


@dataclass(frozen=True)
class Device:
    """What models run on in this process."""

    target: Target

    def weights_dtype(self, requested: Dtype) -> Literal["float16", "float32"]:
        """The type of weights in memory: on an NPU the one requested, float16 for `auto`; on the
        CPU always float32, for MindSpore's half-precision kernels are missing there, or slow.
        """
        return "float32" if self.target == "CPU" or requested == "float32" else "float16"


def npus(environ: Mapping[str, str] = os.environ, folder: Path = _DEVICES) -> list[int]:
    """The numbers of the NPUs of this host that this process may use, ascending, without loading a
    driver.

    An NPU is a device file davinci<number>; ASCEND_RT_VISIBLE_DEVICES (numbers and commas) leaves
    some of them.
    """
    names = [p.name.removeprefix("davinci") for p in folder.glob("davinci[0-9]*")]
    present = sorted(int(n) for n in names if n.isdecimal())
    if VISIBLE not in environ:
        return present
    allowed = {int(n) for n in environ[VISIBLE].split(",") if n.strip().isdecimal()}
    return [n for n in present if n in allowed]


def pinned(npu: int) -> dict[str, str]:
    """The environment that gives a process this NPU and no other."""
    return {VISIBLE: str(npu)}


def target_of(setting: str) -> Target:
    """The target that the setting CURATE_DEVICE names; auto means Ascend where this process may use
    an NPU.
    """
    if setting in ("Ascend", "CPU"):
        return "Ascend" if setting == "Ascend" else "CPU"
    return "Ascend" if npus() else "CPU"


@cache
def start(setting: str) -> Device:
    """Make this process use its device, before its first MindSpore operation.

    Raises PackageMissing, NoDevice. Only call this in a process that will not fork: a child forked
    after MindSpore's first operation hangs.
    """
    ms = mindspore()
    target = target_of(setting)
    try:
        ms.set_device(target, 0) if target == "Ascend" else ms.set_device(target)
    except (RuntimeError, ValueError) as error:
        raise NoDevice(device=target, why=_why(error)) from error
    if target == "CPU":
        # asynchronous dispatch burns CPU seconds where there is no device to wait for
        ms.set_context(pynative_synchronize=True)
    return Device(target)


@contextmanager
def device_errors(device: Device) -> Iterator[None]:
    """Raise NoDevice, or DeviceMemory where memory is short, for what MindSpore raises inside.

    Networks get inputs of one shape, all finite: when one fails, the device or its memory is to
    blame and not the clip.
    """
    try:
        yield
    except RuntimeError as error:
        kind = DeviceMemory if _NO_MEMORY.search(str(error)) else NoDevice
        raise kind(device=device.target, why=_why(error)) from error


def _why(error: Exception) -> str:
    """MindSpore's message on one line, without the trace through its own code."""
    return " ".join(str(error).partition("- C++ Call Stack")[0].split()).rstrip("-!. ")[:300]


def check_installed() -> None:
    """Raise PackageMissing when a package that models need is not there. Imports none of them."""
    for package in ("mindspore", "mindone", "transformers", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            raise PackageMissing(what="Running models", package=package, install=INSTALL)


@cache
def mindspore() -> Any:
    """The module mindspore, without its warnings. Raises PackageMissing."""
    check_installed()
    os.environ.setdefault("GLOG_v", "3")  # errors only; read at import
    return importlib.import_module("mindspore")
