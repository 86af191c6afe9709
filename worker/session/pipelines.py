"""Which pipeline is in force: a YAML file or the packaged default, with --set, and whether it runs.

Model weights are another matter, see `weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.configs.differences import RawStep, step_name
from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline, StageStep, at_place, override, parse, read_yaml
from curate.configs.presets import DEFAULT_FILE, find_pipeline_file
from curate.db.datasets import Dataset
from curate.tasks.registry import add_default_steps, stages, stages_of


@dataclass(frozen=True)
class Resolved:
    """A checked pipeline, its raw steps, disabled ones too, and where each value is from.

    `origin` maps a step and an option to the file or `--set`; what it lacks is a default.
    """

    pipeline: Pipeline
    steps: Sequence[dict[str, Any]]
    origin: Mapping[tuple[str, str], str]


def resolve(config: Path | None, sets: Sequence[str] = (), ready: bool = True) -> Resolved:
    """The pipeline of a file with overrides. Raises ConfigError, FilterError.

    With `ready` also raises ServiceError when a package or file that a stage needs is missing.
    """
    file = find_pipeline_file(config) if config else DEFAULT_FILE
    written = read_yaml(file)
    try:
        return resolve_steps(written, sets, config or "the default pipeline", ready)
    except ConfigError as error:
        raise _placed(error, file, written, sets) from None


def _placed(
    error: ConfigError, file: Path, written: Sequence[RawStep], sets: Sequence[str]
) -> ConfigError:
    """The error with the place of the step and option that it is about: in --set or in the file."""
    step, option = (str(error.fields.get(name, "")) for name in ("step", "option"))
    numbers = [number for number, raw in enumerate(written) if step_name(raw) == step]
    by_set = [a for a in sets if a.partition("=")[0].strip() == f"{step}.{option}"]
    if by_set:
        place = f"--set {by_set[-1]}"
    elif numbers:
        from curate.configs.yaml_reader import place_of

        place = at_place(file, place_of(file, "pipeline", numbers[-1], option))
    else:
        return error
    fields = dict(error.fields)
    if "predicate" in fields or str(fields.get("source")).startswith("of stage"):
        return type(error)(**fields | {"why": f"{fields['why']} ({place})"})
    return type(error)(**fields | {"source": place})


def resolve_steps(
    written: Sequence[RawStep], sets: Sequence[str], source: object, ready: bool = True
) -> Resolved:
    """As `resolve`, for raw steps from `source`."""
    joined = add_default_steps(written, stages())
    steps = override(joined, sets)
    pipeline = parse(steps, stages(), source)
    check(pipeline, ready)
    names = {step_name(step) for step in written}
    origin = {(step_name(s), o): str(source) for s in joined for o in s if step_name(s) in names}
    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        origin[(name, option.strip().partition(".")[0])] = "--set"
    return Resolved(pipeline, steps, origin)


def resolve_dataset(dataset: Dataset, sets: Sequence[str] = ()) -> Resolved:
    """As `resolve`, for the frozen pipeline of a dataset.

    Stages that join every pipeline which does not mention them are disabled steps where the dataset
    has none.
    """
    frozen = dataset.frozen
    own = {step_name(step) for step in frozen}
    steps = [
        step if step_name(step) in own else {**step, "enabled": False}
        for step in add_default_steps(frozen, stages())
    ]
    return resolve_steps(steps, sets, f"dataset {dataset.name}", ready=False)


def pipeline_of(dataset: Dataset) -> Pipeline:
    """The frozen pipeline of a dataset.

    Raises ConfigError when this version of curate has not all of its stages.
    """
    return parse(dataset.frozen, stages_of(dataset.frozen), f"of dataset {dataset.name}")


def changed_pipeline(dataset: Dataset, sets: Sequence[str]) -> Pipeline:
    """The frozen pipeline of a dataset with overrides. Raises ConfigError, FilterError."""
    steps = override(_without_followers(dataset.frozen, sets), sets)
    pipeline = parse(steps, stages(), f"of dataset {dataset.name}")
    check(pipeline, ready=False)
    return pipeline


def _without_followers(frozen: Sequence[RawStep], sets: Sequence[str]) -> list[dict[str, Any]]:
    """The steps without options that nobody has chosen and whose defaults go by one in `sets`, such
    as the prompt by `fields`.
    """
    steps = [dict(step) for step in frozen]
    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        for step in steps:
            if step.get("stage") != name or name not in stages():
                continue
            options = stages()[name].Options
            followers = options.followers.get(option.strip(), ())
            rest = {key: step[key] for key in step if key not in ("stage", *followers)}
            usual = options(**rest) if followers else None
            for follower in followers:
                if step.get(follower) == getattr(usual, follower):
                    step.pop(follower, None)
    return steps


def check(pipeline: Pipeline, ready: bool = True) -> None:
    """Raise FilterError for a wrong filter, ConfigError for a stage without its input.

    With `ready` also raises ServiceError for a stage that cannot run.
    """
    from curate.db.filters.check import check_pipeline  # loads sqlglot

    check_pipeline(pipeline, stages())
    for position, step in enumerate(pipeline.stages):
        stage = stages()[step.name]
        for table in set(stage.reads) - set(stage.may_lack):
            _check_fed(step, table, pipeline, pipeline.stages[:position])
        try:
            stage.check_before(step.options, Pipeline(pipeline.stages[:position]))
        except ConfigError as error:
            error.fields.setdefault("step", step.name)
            raise
    if ready:
        check_ready(pipeline)


def check_ready(pipeline: Pipeline) -> None:
    """Raise ServiceError for a stage that cannot run, whatever the others are."""
    for step in pipeline.stages:
        stages()[step.name].check(step.options)


def _check_fed(
    step: StageStep, table: str, pipeline: Pipeline, before: Sequence[StageStep]
) -> None:
    """Raise ConfigError unless an earlier stage writes the table.

    Where both have a model it must be the same one. A table that no other stage writes at all is
    filled by other means.
    """
    writers = [name for name, cls in stages().items() if table in cls.writes and name != step.name]
    feeding = [s for s in before if s.name in writers]
    model = model_of(step)
    models = [model_of(s) for s in feeding]
    if not writers or any(m is None or model is None or m == model for m in models):
        return
    # those that have such a model; another kind of model is none, whatever its name
    fitting = [name for name in writers if _usual_model(name) == _usual_model(step.name)]
    writers = fitting or writers
    if other := next((s for s in feeding if s.name in writers), None):
        why = (
            f"it reads the {table} of {model}, and {other.name} writes those of {model_of(other)};"
            f" set {other.name}.model and {step.name}.model alike. A dataset keeps its model; for"
            " another one make a new dataset with --name"
        )
    elif late := next((s.name for s in pipeline.stages if s.name in writers), None):
        why = f"it reads {table}, and {late}, which writes them, comes later"
        why += f"; move {late} before {step.name}"
    else:
        names = " or ".join(sorted(writers))
        why = f"it reads {table}{f' of {model}' if feeding else ''}, and no stage writes them"
        why += f"; enable {names} before it, or set {step.name}.enabled=false"
    raise ConfigError(source=f"of stage {step.name}", why=why, step=step.name)


def _usual_model(stage: str) -> str | None:
    return getattr(stages()[stage].Options(), "model", None)


def model_of(step: StageStep) -> str | None:
    """The model that the options of a step name, if they name one."""
    return getattr(step.options, "model", None)
