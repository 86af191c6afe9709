"""Imports a part of a package without the rest of it, which takes most of the time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class OnDemand(ModuleType):
    """Stands in for a module, which is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def bare(package: str) -> ModuleType:
    """A package whose modules can be imported, without what its __init__ file does.

    The packages above it are imported. Raises ModuleNotFoundError when it is not installed.
    """
    found = find_spec(package)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = ModuleType(package)
    module.__path__ = list(found.submodule_search_locations)
    module.__spec__ = ModuleSpec(package, None, is_package=True)
    return module


@contextmanager
def standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Inside the block, these modules are imported in place of those of their names; None: there is
    none.

    What is loaded already stays. After the block all is as if nothing of them had been imported, so
    that the whole modules can be; who has a part keeps it.
    """
    before = set(sys.modules)
    added = [name for name in modules if name not in before]
    loaded: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    loaded.update((name, modules[name]) for name in added)
    try:
        yield
    finally:
        below = tuple(f"{name}." for name in added)
        for name in set(sys.modules) - before:
            if name in added or name.startswith(below):
                del sys.modules[name]
