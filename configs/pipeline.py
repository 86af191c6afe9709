"""The pipeline: an ordered list of stages and filters, read from YAML, frozen in the dataset."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curate.configs.errors import ConfigError
from curate.configs.schema import Column, Level, StageOptions, StageSpec
from curate.configs.settings import first_problem

DONE = "done"  # in the place of a stage: the row has none left

Catalog = Mapping[str, type[StageSpec]]


@dataclass(frozen=True)
class StageStep:
    """One stage of a pipeline with its checked options."""

    name: str
    spec: type[StageSpec]
    options: StageOptions

    def scores_as(self, other: StageStep) -> bool:
        """Whether another form of the stage gives the same scores: its other options are equal."""
        ignored = set(self.options.change_no_score)
        return self.options.model_dump(exclude=ignored) == other.options.model_dump(exclude=ignored)

    @cached_property
    def level(self) -> Level:
        """Whether its rows are videos or clips."""
        return self.spec.level


@dataclass(frozen=True)
class FilterStep:
    """A named SQL predicate. `where` decides over rows of the level of the stage before it."""

    name: str
    where: str
    level: Level


Step = StageStep | FilterStep


@dataclass(frozen=True)
class Pipeline:
    """The enabled steps, in order. Positions count stages only; DONE comes after the last one."""

    steps: tuple[Step, ...]

    @cached_property
    def stages(self) -> tuple[StageStep, ...]:
        """The stages in order."""
        return tuple(s for s in self.steps if isinstance(s, StageStep))

    @cached_property
    def filters(self) -> tuple[FilterStep, ...]:
        """The filters in order."""
        return tuple(s for s in self.steps if isinstance(s, FilterStep))

    def stage(self, name: str) -> StageStep:
        """The stage called name. Raises KeyError."""
        return next(s for s in self.stages if s.name == name)

    def has(self, name: str) -> bool:
        """Whether the stage called name is enabled."""
        return any(s.name == name for s in self.stages)

    def level_stages(self, level: Level) -> list[str]:
        """Names of the stages of one level, in order, with DONE at the end."""
        return [s.name for s in self.stages if s.level == level] + [DONE]

    def following(self, name: str) -> str:
        """The stage behind stage `name` for rows of its level; DONE behind the last."""
        level = self.stage(name).level
        later = self.stages[[s.name for s in self.stages].index(name) + 1 :]
        return next((s.name for s in later if s.level == level), DONE)

    def maker(self, level: Level) -> StageStep | None:
        """The stage that makes the rows of a level; None for videos, which an enqueue makes."""
        return next((s for s in self.stages if s.spec.makes == level), None)

    def entry(self, level: Level) -> str:
        """The stage that new rows of a level meet first; DONE when there is none."""
        return self.level_stages(level)[0]

    def filters_before(self, stage: str, level: Level) -> list[FilterStep]:
        """The filters of a level that a row before a stage, or at the end, has met, in order."""
        met: list[FilterStep] = []
        for step in self.steps:
            if isinstance(step, StageStep) and step.name == stage:
                break
            if isinstance(step, FilterStep) and step.level == level:
                met.append(step)
        return met

    def columns(self) -> dict[str, Column]:
        """Every column that the stages write to clips."""
        return {
            n: c
            for s in self.stages
            for n, c in s.spec.columns.items()
            if written_level(s.spec) == "clip"
        }

    def frozen(self) -> list[dict[str, Any]]:
        """JSON-ready steps; `parse` reads them back."""
        return [
            {"stage": s.name, **s.options.model_dump(mode="json")}
            if isinstance(s, StageStep)
            else {"filter": s.name, "where": s.where}
            for s in self.steps
        ]


def written_level(stage: type[StageSpec]) -> Level:
    """The level of the rows that have the columns of a stage: those it makes, or waits for."""
    return stage.makes or stage.level


def read_yaml(path: Path) -> list[dict[str, Any]]:
    """The raw steps of a pipeline file. Raises ConfigError when it is not one."""
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(source=path, why=error.strerror or error) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(source=path, why=" ".join(str(error).split())) from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("pipeline"), list):
        raise ConfigError(source=path, why="it must hold a list called pipeline")
    unknown = set(loaded) - {"pipeline"}
    if unknown:
        raise ConfigError(
            source=path, why=f"unknown key {sorted(map(str, unknown))[0]}; the only key is pipeline"
        )
    steps = []
    for raw in loaded["pipeline"]:
        step = {"stage": raw} if isinstance(raw, str) else raw  # `- probe`: short for a stage
        if not isinstance(step, dict) or ("stage" in step) == ("filter" in step):
            raise ConfigError(
                source=path, why=f"each step has either stage: or filter:, not {raw!r}"
            )
        steps.append(dict(step))
    return steps


def override(
    steps: Sequence[Mapping[str, Any]], assignments: Iterable[str]
) -> list[dict[str, Any]]:
    """The steps with ``name.option=value`` assignments applied; values are read as YAML.

    Raises ConfigError for a malformed assignment or a step that is not there.
    """
    import yaml

    result = [dict(s) for s in steps]
    for assignment in assignments:
        target, equals, value = assignment.partition("=")
        name, dot, option = target.strip().partition(".")
        if not equals or not dot:
            raise ConfigError(source=f"--set {assignment}", why="write it as STEP.OPTION=VALUE")
        step = next((s for s in result if name in (s.get("stage"), s.get("filter"))), None)
        if step is None:
            known = [str(s.get("stage") or s.get("filter")) for s in result]
            raise ConfigError(source=f"--set {assignment}", why=_unknown("step", name, known))
        try:
            step[option.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(
                source=f"--set {assignment}", why="the value is not valid YAML"
            ) from None
    return result


def parse(steps: Iterable[Mapping[str, Any]], catalog: Catalog, source: object) -> Pipeline:
    """The enabled steps, options checked against their types and ranges.

    Raises ConfigError naming `source` for an unknown stage or option, a value out of range, a name
    used twice, or an order that cannot run.
    """
    parsed: list[Step] = []
    seen: set[str] = set()
    level: Level = "video"
    for raw in steps:
        step = (
            _stage_step(raw, catalog, source)
            if "stage" in raw
            else _filter_step(raw, level, parsed, source)
        )
        name = str(raw.get("stage") or raw.get("filter"))
        if name in seen:
            raise ConfigError(source=source, why=f"{name} is there twice")
        seen.add(name)
        if step is None:
            continue
        if isinstance(step, StageStep):
            if step.level == "video" and level == "clip":
                maker = " or ".join(s.name for s in catalog.values() if s.makes == "clip")
                raise ConfigError(
                    source=source, why=f"{name} works on videos and must come before {maker}"
                )
            level = written_level(step.spec)
        parsed.append(step)
    pipeline = Pipeline(tuple(parsed))
    first = [s.name for s in catalog.values() if s.comes_first and not s.makes]
    first += [s.name for s in catalog.values() if s.comes_first and s.makes]
    if [s.name for s in pipeline.stages[: len(first)]] != first:
        raise ConfigError(
            source=source, why=f"a pipeline starts with the stages {' and '.join(first)}"
        )
    return pipeline


def _stage_step(raw: Mapping[str, Any], catalog: Catalog, source: object) -> StageStep | None:
    name = str(raw["stage"])
    if name not in catalog:
        raise ConfigError(source=source, why=_unknown("stage", name, catalog))
    spec = catalog[name]
    options = {k: v for k, v in raw.items() if k != "stage"}
    unknown = [k for k in options if k not in spec.Options.model_fields]
    if unknown:
        raise ConfigError(
            source=source,
            why=_unknown(f"option of stage {name}", str(unknown[0]), spec.Options.model_fields),
        )
    try:
        checked = spec.Options(**options)
    except ValidationError as error:
        raise ConfigError(source=source, why=f"stage {name}, {first_problem(error)}") from None
    return StageStep(name, spec, checked) if checked.enabled else None


_FILTER_KEYS = ("filter", "where", "enabled", "with")


def _filter_step(
    raw: Mapping[str, Any], level: Level, before: list[Step], source: object
) -> FilterStep | None:
    name = str(raw["filter"])
    unknown = [k for k in raw if k not in _FILTER_KEYS]
    if unknown:
        raise ConfigError(
            source=source, why=_unknown(f"key of filter {name}", str(unknown[0]), _FILTER_KEYS)
        )
    if not name.isidentifier():
        raise ConfigError(source=source, why=f"filter name {name!r} must be letters, digits and _")
    where = raw.get("where")
    if not isinstance(where, str) or not where.strip():
        raise ConfigError(source=source, why=f"filter {name} needs where: with an SQL predicate")
    if not isinstance(raw.get("enabled", True), bool):
        raise ConfigError(source=source, why=f"filter {name}, enabled: must be true or false")
    partner = raw.get("with")
    off = partner is not None and not any(
        isinstance(s, StageStep) and s.name == partner for s in before
    )
    if off or not raw.get("enabled", True):
        return None
    return FilterStep(name, where.strip(), level)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {what} {name}; {hint(name, known)}"


def hint(name: str, known: Iterable[str]) -> str:
    """The known name that comes nearest to another one or, when none is near, all of them, in
    words.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
