"""Finds the stages: those that the modules in tasks/ define, and the entry points `curate.stages`.

Also orders them, and adds those with `default_step` to a pipeline.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import curate.tasks
from curate.configs.differences import RawStep, step_name
from curate.configs.pipeline import read_yaml
from curate.configs.presets import PRESETS
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


def stages_of(steps: Sequence[RawStep]) -> dict[str, StageClass]:
    """The classes of the stages of raw steps, by name; all there are where some are not ours.

    Most commands need no others: to import them all takes a fifth of a second.
    """
    names = sorted({str(step["stage"]) for step in steps if "stage" in step})
    if stages.cache_info().currsize or entry_points(group="curate.stages"):
        return stages()
    ours = {info.name for info in pkgutil.iter_modules(curate.tasks.__path__) if not info.ispkg}
    modules = [importlib.import_module(f"curate.tasks.{name}") for name in names if name in ours]
    classes = {cls.name: cls for module in modules for cls in stages_defined_in(module)}
    return classes if list(classes) == names else stages()


def stages_defined_in(module: ModuleType) -> list[StageClass]:
    """The stage classes with a name that a module defines itself, not those it imports."""
    return [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Stage)
        and cls.__module__ == module.__name__
        and "name" in vars(cls)
    ]


def stages_in_order() -> list[StageClass]:
    """All stages in the order of the packaged pipelines.

    Stages that are in no packaged pipeline follow by name, before those with `comes_last`.
    """
    catalog = stages()
    steps = [step for name in ("default.yaml", "scores.yaml") for step in read_yaml(PRESETS / name)]
    listed = [name for name in dict.fromkeys(map(step_name, steps)) if name in catalog]
    others = [name for name in sorted(catalog) if name not in listed]
    last = [name for name in listed if catalog[name].comes_last]
    first = [name for name in listed if name not in last]
    return [catalog[name] for name in [*first, *others, *last]]


def add_default_steps(
    steps: Sequence[RawStep], catalog: Mapping[str, StageClass]
) -> list[dict[str, Any]]:
    """The raw steps, and every stage with `default_step` that they do not mention.

    These are added before the first stage with `comes_last`, or at the end.
    """
    mentioned = {step.get("stage") for step in steps}
    joining = [
        {"stage": name}
        for name, cls in sorted(catalog.items())
        if cls.default_step and name not in mentioned
    ]
    last = {name for name, cls in catalog.items() if cls.comes_last}
    end = next((i for i, step in enumerate(steps) if step.get("stage") in last), len(steps))
    return [*map(dict, steps[:end]), *joining, *map(dict, steps[end:])]
