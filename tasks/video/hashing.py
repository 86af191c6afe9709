"""Perceptual hashes of small pictures, by imagededup without the torch that it asks for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import PackageMissing

INSTALL = "pip install --no-deps imagededup"
# standard deviation of luma, 0 to 255, below which a picture shows too little to be told by
FLAT = 5.0

_METHODS = {"phash": "PHash", "ahash": "AHash", "dhash": "DHash", "whash": "WHash"}
# their __init__ import torch and matplotlib; their modules that hashing uses import neither
_PACKAGES = ("imagededup.methods", "imagededup.utils")


def check_imagededup() -> None:
    """Raise PackageMissing when imagededup is not installed."""
    if importlib.util.find_spec("imagededup") is None:
        raise PackageMissing(what="The perceptual hash", package="imagededup", install=INSTALL)


@contextmanager
def _without_their_init() -> Iterator[None]:
    """Packages of imagededup that only say where their modules are, for the length of an import."""
    root = importlib.import_module("imagededup").__path__
    added = [name for name in _PACKAGES if name not in sys.modules]
    for name in added:
        package = ModuleType(name)
        package.__path__ = [f"{folder}/{name.rpartition('.')[2]}" for folder in root]
        package.__spec__ = ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)


@cache
def _hasher(method: str) -> Any:
    check_imagededup()
    with _without_their_init():
        try:
            module = importlib.import_module("imagededup.methods.hashing")
        except ImportError as error:
            install = f"pip install {error.name}"
            raise PackageMissing(what="imagededup", package=error.name, install=install) from error
    return getattr(module, _METHODS[method])(verbose=False)


def perceptual_hash(picture: NDArray[np.uint8], method: str) -> str | None:
    """The 64-bit hash of an RGB picture (H x W x 3) as 16 hex characters; None where it is flat.

    `method`: phash, ahash, dhash or whash. Between the hash of a frame scaled down to a shorter
    side of 256 pixels and that of the whole frame about 1 bit differs (4 at most on 48 frames), so
    do not compare the two kinds. A black frame or a bare background has no hash, because all of
    them would be one another's duplicates. Raises PackageMissing.
    """
    import cv2

    if cv2.meanStdDev(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[1][0][0] < FLAT:
        return None
    return str(_hasher(method).encode_image(image_array=picture))
