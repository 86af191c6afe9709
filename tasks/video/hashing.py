"""Perceptual hashes of small pictures, by imagededup but without what its hashing never calls."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import PackageMissing, ServiceError
from curate.configs.packages import install
from curate.tasks.video.hash_package import check_imagededup
from curate.tasks.video.stand_ins import OnDemand, bare, standing_in

# standard deviation of the luma (0 to 255) below which a picture is too flat to recognise
FLAT = 5.0

_METHODS = {"phash": "PHash", "ahash": "AHash", "dhash": "DHash", "whash": "WHash"}
# what imagededup's hashing imports and calls, by module: the packages
_MODULES = {
    "PIL": "pillow",
    "pywt": "pywavelets",
    "scipy": "scipy",
}
# their __init__ files import torch and matplotlib, which the modules for hashing do not need
_PACKAGES = ("imagededup.methods", "imagededup.utils")
# searches for duplicates, which curate does itself; its scikit-learn takes seconds to import
_SEARCH = "imagededup.handlers.search.retrieval"
_ON_DEMAND = ("pywt", "tqdm")  # for whash alone, and for folders of pictures
_FOURIER, _TRANSFORMS = "scipy.fft", "scipy.fftpack"


def _stand_ins() -> dict[str, ModuleType]:
    """In place of what imagededup's hashing imports and never calls, or calls a part of."""
    search = ModuleType(_SEARCH)
    search.HashEval = None  # type: ignore[attr-defined]
    # by scipy's own code; all of scipy.fftpack loads scipy.special, half of the time it all took
    with standing_in({_FOURIER: bare(_FOURIER)}):
        part = importlib.import_module(f"{_FOURIER}._pocketfft.realtransforms")
    transforms = ModuleType(_TRANSFORMS)
    transforms.dct = lambda x, axis: part.dct(x, 2, axis=axis)  # type: ignore[attr-defined]
    packages = {name: bare(name) for name in _PACKAGES}
    on_demand = {name: OnDemand(name) for name in _ON_DEMAND}
    return {**packages, **on_demand, _SEARCH: search, _TRANSFORMS: transforms}


@cache
def _hasher(method: str) -> Any:
    check_imagededup()
    try:
        with standing_in(_stand_ins()):
            module = importlib.import_module("imagededup.methods.hashing")
        if method == "whash":
            importlib.import_module("pywt")
    except ImportError as error:
        package = _MODULES.get(str(error.name).partition(".")[0])
        if package is None:
            raise ServiceError(what="imagededup", why=error) from error
        how = install(package)
        raise PackageMissing(what="imagededup", package=package, install=how) from error
    return getattr(module, _METHODS[method])(verbose=False)


def load_hasher() -> None:
    """Import what hashes are made with. Raises PackageMissing, ServiceError."""
    _hasher("phash")


def perceptual_hashes(
    picture: NDArray[np.uint8], method: str, mirror: bool = False
) -> tuple[str | None, str | None]:
    """The 64-bit hash of an RGB picture (H x W x 3), and with `mirror` that of its mirror image.

    Each is 16 hex characters, or None where the picture is flat. `method`: phash, ahash, dhash or
    whash. The hash of a frame scaled down to a shorter side of 256
    pixels differs from that of the full frame by about 1 bit (4 at most on 48 frames), so do not
    compare the two. A black frame or a bare background has no hash, because all such frames would
    be duplicates of each other. Raises PackageMissing.
    """
    import cv2
    from PIL import Image

    if cv2.meanStdDev(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[1][0][0] < FLAT:
        return None, None
    hasher = _hasher(method)
    # the hasher's first step, taken once for both hashes: it leaves a picture of its size as it is
    resized = Image.fromarray(picture).resize(hasher.target_size, Image.Resampling.LANCZOS)
    small = np.asarray(resized)
    plain = str(hasher.encode_image(image_array=small))
    return plain, str(hasher.encode_image(image_array=small[:, ::-1])) if mirror else None
