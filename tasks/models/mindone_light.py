"""mindone's models without importing mindone.transformers, which imports every model (14 CPU s).

Packages are registered by their folders alone, so that only the module of one model is imported.
This relies on the private layout of mindone, whose version is pinned in pyproject.toml.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType

from curate.tasks.models.device import check_installed, mindspore

_BARE = ("mindone.transformers", "mindone.transformers.models")


@cache
def clip() -> ModuleType:
    """The module of mindone's CLIP. Raises PackageMissing."""
    return module("models.clip.modeling_clip")


@cache
def language(family: str) -> ModuleType:
    """The module of a language model family: llama, qwen2_vl or qwen2_5_vl.

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
    return importlib.import_module(f"mindone.transformers.{name}")


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
