"""Whether the package that hashes pictures is there; nothing of it is imported."""

from __future__ import annotations

from importlib.util import find_spec

from curate.configs.errors import PackageMissing

INSTALL = "pip install --no-deps imagededup"


def check_imagededup() -> None:
    """Raise PackageMissing when imagededup is not installed."""
    if find_spec("imagededup") is None:
        raise PackageMissing(what="The perceptual hash", package="imagededup", install=INSTALL)
