"""mindone's models without the start of mindone.transformers, which imports every model there is (14 CPU seconds).

Packages are registered by their folders alone, so that what is asked for is imported and nothing else. This rests on
the private layout of mindone, whose version is pinned in pyproject.toml.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType

from curate.configs.errors import PackageMissing
from curate.tasks.models.device import INSTALL, mindspore

_BARE = ("mindone.transformers", "mindone.transformers.models")


@cache
def clip() -> ModuleType:
    """The module of mindone's CLIP. Raises PackageMissing."""
    return _module("mindone.transformers.models.clip.modeling_clip")


def _module(name: str) -> ModuleType:
    mindspore()
    os.environ["USE_TORCH"] = "0"  # transformers would import it only because it is there
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for package in ("mindone", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise PackageMissing(what="Running models", package=package, install=INSTALL)
    for bare in _BARE:
        _register(bare)
    return importlib.import_module(name)


def _register(name: str) -> None:
    """Make a package known without running its __init__."""
    if name in sys.modules:
        return
    parent, _, leaf = name.rpartition(".")
    paths = [os.path.join(path, leaf) for path in importlib.import_module(parent).__path__]  # noqa: PTH118  as import does
    module = ModuleType(name)
    module.__path__ = paths
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__dict__["__version__"] = importlib.import_module("transformers").__version__
    sys.modules[name] = module
