"""Which pipeline is in force: a YAML file or the packaged default, stages that join by themselves,
--set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import curate.configs
from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline, StageStep, override, parse, read_yaml
from curate.tasks.registry import StageClass, stages

if TYPE_CHECKING:
    from curate.db.datasets import Dataset


PRESETS = Path(curate.configs.__file__).parent


DEFAULT_FILE = PRESETS / "default.yaml"


RawStep = dict[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A checked pipeline; `steps` are the raw steps, disabled ones too; `origin` tells where each
    value is from.
    """

    pipeline: Pipeline
    steps: Sequence[RawStep]
    origin: Mapping[tuple[str, str], str]


def resolve(config: Path | None, sets: Sequence[str] = (), ready: bool = True) -> Resolved:
    """The pipeline of a file with overrides. Raises ConfigError, FilterError.

    With `ready` also raises ServiceError when a package or file that a stage needs is missing.
    Model weights are another matter, see `check_models`.
    """
    written = read_yaml(find(config) if config else DEFAULT_FILE)
    return settle(written, sets, config or "the default pipeline", ready)


def find(config: Path) -> Path:
    """The file itself or, where there is none of a bare name such as scores.yaml, the packaged one
    of that name.
    """
    packaged = PRESETS / config.name
    bare = config.name == str(config)
    return (
        packaged
        if bare and config.suffix == ".yaml" and not config.exists() and packaged.is_file()
        else config
    )


def settle(
    written: Sequence[RawStep], sets: Sequence[str], source: object, ready: bool = True
) -> Resolved:
    """As `resolve`, for raw steps."""
    joined = _with_default_steps(written, stages())
    steps = override(joined, sets)
    pipeline = parse(steps, stages(), source)
    check(pipeline, ready)
    return Resolved(pipeline, steps, _origins(written, joined, sets, source))


def check(pipeline: Pipeline, ready: bool = True) -> None:
    """Raise FilterError for a wrong filter, ConfigError for a stage that would not find what it
    reads.

    With `ready` also raises ServiceError for a stage that cannot run.
    """
    from curate.db.filters.check import check_pipeline  # loads sqlglot

    check_pipeline(pipeline, stages())
    for place, step in enumerate(pipeline.stages):
        for table in set(stages()[step.name].reads) - set(stages()[step.name].may_lack):
            _check_fed(step, table, pipeline, pipeline.stages[:place])
        stages()[step.name].check_before(step.options, Pipeline(pipeline.stages[:place]))
    if ready:
        check_ready(pipeline)


def check_ready(pipeline: Pipeline) -> None:
    """Raise ServiceError for a stage that cannot run, whatever the others are."""
    for step in pipeline.stages:
        stages()[step.name].check(step.options)


def _check_fed(
    step: StageStep, table: str, pipeline: Pipeline, before: Sequence[StageStep]
) -> None:
    """Raise ConfigError unless an earlier stage writes the table, by the same model where both have
    one.

    A table that no other stage writes at all is filled by other means.
    """
    writers = [name for name, cls in stages().items() if table in cls.writes and name != step.name]
    feeding = [s for s in before if s.name in writers]
    if not writers or any(
        model_of(s) is None or model_of(step) in (None, model_of(s)) for s in feeding
    ):
        return
    if feeding:
        one = feeding[0]
        why = (
            f"it reads the {table} of {model_of(step)}, and {one.name} writes those of {model_of(one)}; set "
            f"{one.name}.model and {step.name}.model alike. A dataset keeps its model; for another one: "
            "curate run … --name NEW"
        )
    elif late := next((s.name for s in pipeline.stages if s.name in writers), None):
        why = f"it reads {table}, and {late}, which writes them, comes later; move {late} before {step.name}"
    else:
        names = " or ".join(sorted(writers))
        why = f"it reads {table}, and no stage writes them; enable {names} before it, or set {step.name}.enabled=false"
    raise ConfigError(source=f"of stage {step.name}", why=why)


def model_of(step: StageStep) -> str | None:
    """The model that a step's options name, if they do."""
    return getattr(step.options, "model", None)


def _with_default_steps(
    steps: Sequence[RawStep], catalog: Mapping[str, StageClass]
) -> list[RawStep]:
    """Stages that ask for it join a pipeline that does not mention them, before the stage that
    comes last or at the end.
    """
    mentioned = {step.get("stage") for step in steps}
    joining = [
        {"stage": n}
        for n, cls in sorted(catalog.items())
        if cls.default_step and n not in mentioned
    ]
    last = {name for name, cls in catalog.items() if cls.comes_last}
    end = next((i for i, step in enumerate(steps) if step.get("stage") in last), len(steps))
    return [*map(dict, steps[:end]), *joining, *map(dict, steps[end:])]


def _origins(
    written: Sequence[RawStep], joined: Sequence[RawStep], sets: Sequence[str], source: object
) -> dict[tuple[str, str], str]:
    names = {step_name(step) for step in written}
    origin = {(step_name(s), o): str(source) for s in joined for o in s if step_name(s) in names}
    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        origin[(name, option.strip())] = "--set"
    return origin


def in_order() -> list[StageClass]:
    """All stages: those of the packaged pipelines as they come there, those of no pipeline before
    the one that comes last.
    """
    found = stages()
    steps = [
        step_name(s) for name in ("default.yaml", "scores.yaml") for s in read_yaml(PRESETS / name)
    ]
    listed = [n for n in dict.fromkeys(steps) if n in found]
    last = [n for n in listed if found[n].comes_last]
    others = [n for n in sorted(found) if n not in listed]
    return [found[n] for n in [*(n for n in listed if n not in last), *others, *last]]


def step_name(step: Mapping[str, Any]) -> str:
    """The name of a raw step."""
    return str(step.get("stage") or step.get("filter"))


def pipeline_of(dataset: Dataset) -> Pipeline:
    """The frozen pipeline of a dataset. Raises ConfigError when this version of curate has no such
    stage.
    """
    return parse(dataset.frozen, stages(), f"the pipeline of dataset {dataset.name}")


def differences(old: Sequence[RawStep], new: Sequence[RawStep]) -> list[str]:
    """What tells two frozen pipelines apart, for people: options changed, steps added, removed,
    moved.
    """
    before = {step_name(s): s for s in old}
    after = {step_name(s): s for s in new}
    found = [f"{name} removed" for name in before if name not in after]
    found += [f"{name} added" for name in after if name not in before]
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        keys = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
        found += [f"{name}.{k} {a.get(k)} → {b.get(k)}" for k in keys]
    shared = [n for n in before if n in after]
    if not found and shared != [n for n in after if n in before]:
        found.append("the order of the steps")
    return sorted(found)


def only_filters_differ(old: Sequence[RawStep], new: Sequence[RawStep]) -> bool:
    """Whether two frozen pipelines have the same stages, in the same order, with the same options."""

    def of_stages(steps: Sequence[RawStep]) -> list[RawStep]:
        return [dict(s) for s in steps if "stage" in s]

    return of_stages(old) == of_stages(new)
