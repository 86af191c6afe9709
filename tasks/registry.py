"""Finds the stages: the modules in tasks/ that define one, and the entry points `curate.stages`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
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
    classes: dict[str, StageClass] = {}
    modules = (info.name for info in pkgutil.iter_modules(curate.tasks.__path__) if not info.ispkg)
    for name in sorted(modules):
        module = importlib.import_module(f"curate.tasks.{name}")
        classes |= {cls.name: cls for cls in stages_defined_in(module)}
    for entry in entry_points(group="curate.stages"):
        cls: StageClass = entry.load()
        classes[cls.name] = cls
    return classes


def stages_defined_in(module: ModuleType) -> list[StageClass]:
    """The stage classes that a module defines itself, those with a name."""
    return [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Stage)
        and cls.__module__ == module.__name__
        and "name" in vars(cls)
    ]
