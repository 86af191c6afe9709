"""mindone's models without importing mindone.transformers, which imports every model (14 CPU s).

Packages are registered by their folders alone, so that only the module of one model is imported.
This relies on the private layout of mindone, whose version is pinned in pyproject.toml.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from curate.tasks.models.device import check_installed, mindspore

_BARE = ("mindone.transformers", "mindone.transformers.models")


@cache
def clip() -> ModuleType:
    """The module of mindone's CLIP. Raises PackageMissing."""
    return module("models.clip.modeling_clip")


@cache
def language(family: str) -> ModuleType:
    """The module of a model family, such as llama or qwen2_vl.

    Raises PackageMissing.
    """
    return module(f"models.{family}.modeling_{family}")


def module(name: str) -> ModuleType:
    """A module of mindone.transformers, without the imports of its packages.

    Raises PackageMissing.
    """
    mindspore()
    transformers()
    for bare in _BARE:
        _register(bare)
    parts = name.split(".")
    if len(parts) > 1:  # the package of a model also imports its image processors
        _register(".".join(("mindone.transformers", *parts[:-1])))
    with _without_auto_docstring():
        return importlib.import_module(f"mindone.transformers.{name}")


@contextmanager
def _without_auto_docstring() -> Iterator[None]:
    """Let transformers' decorator that writes docstrings, which needs torch, do nothing."""

    def same(decorated: Any = None, **_options: Any) -> Any:
        return decorated if decorated is not None else same

    utils: Any = importlib.import_module("transformers.utils")
    before = utils.auto_docstring
    utils.auto_docstring = same
    try:
        yield
    finally:
        utils.auto_docstring = before


@cache
def transformers() -> ModuleType:
    """Hugging Face's package, whose configurations mindone uses; without torch or warnings."""
    os.environ["USE_TORCH"] = "0"  # otherwise it imports torch if installed
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    check_installed()
    return importlib.import_module("transformers")


def _register(name: str) -> None:
    """Register a package without running its __init__."""
    if name in sys.modules:
        return
    parent, _, leaf = name.rpartition(".")
    folders = importlib.import_module(parent).__path__
    paths = [os.path.join(folder, leaf) for folder in folders]  # noqa: PTH118  as import does
    module = ModuleType(name)
    module.__path__ = paths
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__dict__["__version__"] = transformers().__version__
    sys.modules[name] = module
