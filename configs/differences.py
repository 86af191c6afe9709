"""What tells two frozen pipelines apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RawStep = Mapping[str, Any]


def step_name(step: RawStep) -> str:
    """The name of a raw step."""
    return str(step.get("stage") or step.get("filter"))


def differences(old: Sequence[RawStep], new: Sequence[RawStep]) -> list[str]:
    """What differs, for people: options changed, steps added, removed, moved."""
    before = {step_name(step): step for step in old}
    after = {step_name(step): step for step in new}
    changes = [f"{name} removed" for name in before if name not in after]
    changes += [f"{name} added" for name in after if name not in before]
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        options = sorted(o for o in a.keys() | b.keys() if a.get(o) != b.get(o))
        changes += [f"{name}.{o} {a.get(o)} → {b.get(o)}" for o in options]
    if not changes and [n for n in before if n in after] != [n for n in after if n in before]:
        changes.append("the order of the steps")
    return sorted(changes)


def only_filters_differ(old: Sequence[RawStep], new: Sequence[RawStep]) -> bool:
    """Whether both have the same stages, in the same order, with the same options."""
    stages_of_old, stages_of_new = (
        [dict(step) for step in steps if "stage" in step] for steps in (old, new)
    )
    return stages_of_old == stages_of_new
