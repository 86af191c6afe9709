"""mindone's models without the start of mindone.transformers, which imports every model there is
(14 CPU seconds).

Packages are registered by their folders alone, so that one model's module is imported and nothing
else. This rests on the private layout of mindone, whose version is pinned in pyproject.toml.
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
    """The module of a model family that writes text: llama, qwen2_vl or qwen2_5_vl. Raises
    PackageMissing.
    """
    return module(f"models.{family}.modeling_{family}")


def module(name: str) -> ModuleType:
    """A module of mindone.transformers, imported without what its packages import. Raises
    PackageMissing.
    """
    mindspore()
    transformers()
    for bare in _BARE:
        _register(bare)
    parts = name.split(".")
    if len(parts) > 1:  # a package of a model imports its image processors too
        _register(".".join(("mindone.transformers", *parts[:-1])))
    return importlib.import_module(f"mindone.transformers.{name}")


@cache
def transformers() -> ModuleType:
    """Hugging Face's package, of which mindone uses the configurations; without torch, and silent
    about it.
    """
    os.environ["USE_TORCH"] = "0"  # it would import torch only because it is there
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    check_installed()
    return importlib.import_module("transformers")


def _register(name: str) -> None:
    """Make a package known without running its __init__."""
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
