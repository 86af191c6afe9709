"""Finds the stages: every module in tasks/ that defines one, and the entry points `curate.stages`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import curate.tasks
from curate.tasks.stage import Stage

# folders below tasks/ whose modules are looked through for stages
_FOLDERS = ("", "score.", "caption.")


@cache
def stages() -> dict[str, type[Stage[Any, Any]]]:
    """Stage classes by name, in the order found. Raises ImportError when a module cannot be imported."""
    for module in _module_names():
        importlib.import_module(module)
    for entry in entry_points(group="curate.stages"):
        entry.load()
    return {cls.name: cls for cls in _concrete(Stage)}  # type: ignore[type-abstract]


def _module_names() -> list[str]:
    names = []
    for info in pkgutil.walk_packages(curate.tasks.__path__, "curate.tasks."):
        inner = info.name.removeprefix("curate.tasks.")
        folder = inner.rpartition(".")[0]
        if not info.ispkg and (f"{folder}." if folder else "") in _FOLDERS:
            names.append(info.name)
    return sorted(names)


def _concrete(base: type[Stage[Any, Any]]) -> list[type[Stage[Any, Any]]]:
    found = []
    for cls in base.__subclasses__():
        if "name" in cls.__dict__:
            found.append(cls)
        found += _concrete(cls)
    return found
