"""Finds the stages: every module in tasks/ that defines one, and the entry points `curate.stages`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import curate.tasks
from curate.tasks.stage import Stage

StageClass = type[Stage[Any, Any]]


@cache
def stages() -> dict[str, StageClass]:
    """Stage classes by name. Raises ImportError when a module or entry point cannot be imported."""
    found: dict[str, StageClass] = {}
    for name in sorted(_module_names()):
        found |= {cls.name: cls for cls in _defined_in(importlib.import_module(name))}
    for entry in entry_points(group="curate.stages"):
        cls: StageClass = entry.load()
        found[cls.name] = cls
    return found


def _module_names() -> Iterator[str]:
    for info in pkgutil.iter_modules(curate.tasks.__path__):
        if not info.ispkg:
            yield f"curate.tasks.{info.name}"


def _defined_in(module: ModuleType) -> Iterator[StageClass]:
    for cls in vars(module).values():
        if (
            inspect.isclass(cls)
            and issubclass(cls, Stage)
            and cls.__module__ == module.__name__
            and "name" in vars(cls)
        ):
            yield cls
