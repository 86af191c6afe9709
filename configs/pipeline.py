"""The pipeline: an ordered list of stages and filters, read from YAML, frozen in the dataset."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curate.configs.errors import ConfigError
from curate.configs.names import nearest
from curate.configs.schema import (
    FILL_SECONDS,
    LEVELS,
    Column,
    Level,
    Order,
    StageOptions,
    StageSpec,
)
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
        return self.options.deciding() == other.options.deciding()

    @cached_property
    def level(self) -> Level:
        """Whether its rows are videos or clips."""
        return self.spec.level

    @cached_property
    def order(self) -> Order | None:
        """The order in which it takes its rows; None: any."""
        return self.spec.order(self.options)

    @cached_property
    def models(self) -> tuple[Any, ...]:
        """The model weights that it needs, each a `curate.tasks.models.catalog.Need`."""
        return self.spec.models(self.options)

    @cached_property
    def neighbours(self) -> int:
        """How many clips before and after each clip it sees."""
        return self.spec.neighbours(self.options)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that it asks for captions in; of most stages none."""
        return tuple(getattr(self.options, "fields", ()))

    @cached_property
    def seconds_to_fill(self) -> float:
        """Seconds that rows wait for their batch to fill up."""
        seconds = self.options.fill_seconds
        return FILL_SECONDS[self.options.queue] if seconds is None else seconds

    @cached_property
    def divides(self) -> bool:
        """Whether its batches become smaller where few rows wait, so that all processes have some:
        of stages whose batches take long and cost no more when they are small.
        """
        return self.spec.stops_at_once and not self.seconds_to_fill

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that it writes to the rows that wait for it."""
        return columns_for(self.spec, self.level)


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

    @cached_property
    def by_name(self) -> Mapping[str, StageStep]:
        """The stages by their names, in order."""
        return {s.name: s for s in self.stages}

    def level_stages(self, level: Level) -> list[str]:
        """Names of the stages of one level, in order, with DONE at the end."""
        return [s.name for s in self.stages if s.level == level] + [DONE]

    @cached_property
    def following(self) -> Mapping[str, str]:
        """By stage the one behind it for rows of its level; DONE behind the last."""
        names = [self.level_stages(level) for level in LEVELS]
        return {stage: after for of_level in names for stage, after in pairwise(of_level)}

    def maker(self, level: Level) -> StageStep | None:
        """The stage that makes the rows of a level; None for videos, which an enqueue makes."""
        return next((s for s in self.stages if s.spec.makes == level), None)

    @cached_property
    def entry(self) -> Mapping[Level, str]:
        """The stage that new rows of each level meet first; DONE when there is none."""
        return {level: self.level_stages(level)[0] for level in LEVELS}

    def filters_before(self, stage: str, level: Level) -> list[FilterStep]:
        """The filters of a level that a row before a stage, or at the end, has met, in order."""
        met: list[FilterStep] = []
        for step in self.steps:
            if isinstance(step, StageStep) and step.name == stage:
                break
            if isinstance(step, FilterStep) and step.level == level:
                met.append(step)
        return met

    @cached_property
    def clip_columns(self) -> frozenset[str]:
        """The names of the columns that the stages write to clips."""
        return frozenset(self.columns())

    def columns(self) -> dict[str, Column]:
        """Every column that the stages write to clips."""
        return {n: c for s in self.stages for n, c in columns_for(s.spec, "clip").items()}

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


def columns_for(stage: type[StageSpec], level: Level) -> Mapping[str, Column]:
    """The columns that a stage writes to rows of a level."""
    if level == written_level(stage):
        return stage.columns
    return stage.own_columns if level == stage.level else {}


def read_yaml(path: Path) -> list[dict[str, Any]]:
    """The raw steps of a pipeline file. Raises ConfigError with the place when it is not one."""
    from curate.configs.yaml_reader import load_file, place_of

    def wrong(why: str, *keys: str | int) -> ConfigError:
        return ConfigError(source=at_place(path, place_of(path, *keys)), why=why)

    loaded = load_file(path)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("pipeline"), list):
        raise wrong("it must hold a list called pipeline", "pipeline")
    unknown = next((key for key in loaded if key != "pipeline"), None)
    if unknown is not None:
        raise wrong(f"unknown key {unknown}; the only key is pipeline", unknown)
    steps = []
    for number, raw in enumerate(loaded["pipeline"]):
        step = {"stage": raw} if isinstance(raw, str) else raw  # `- probe`: short for a stage
        if not isinstance(step, dict) or ("stage" in step) == ("filter" in step):
            why = f"each step has either stage: or filter:, not {repr(raw)[:100]}"
            raise wrong(why, "pipeline", number)
        kind = "stage" if "stage" in step else "filter"
        if not isinstance(step[kind], str):
            why = f"the name of a {kind} must be text, not {repr(step[kind])[:100]}"
            raise wrong(why, "pipeline", number, kind)
        steps.append(dict(step))
    return steps


def at_place(source: object, place: str) -> str:
    """The source with a place in it, where there is one."""
    return f"{source}, {place}" if place else str(source)


def override(
    steps: Sequence[Mapping[str, Any]], assignments: Iterable[str]
) -> list[dict[str, Any]]:
    """The steps with ``name.option=value`` assignments applied; values are read as YAML. An option
    that is a list of stages may be changed in part, ``name.captioners.openai.url=value``; of
    several of one name by their places: ``name.captioners.0.url=value``.

    Raises ConfigError for a malformed assignment or a step that is not there.
    """
    from curate.configs.yaml_reader import load_text

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
            new = load_text(value)
        except ValueError as error:
            why = f"the value is not valid YAML: {error}"
            raise ConfigError(source=f"--set {assignment}", why=why) from None
        option, dot, part = option.strip().partition(".")
        step[option] = _with_part(step.get(option), part, new, assignment) if dot else new
    return result


def _with_part(listed: Any, part: str, new: Any, assignment: str) -> list[dict[str, Any]]:
    """A list of stages with another option of one of them; `part` is NAME.OPTION or PLACE.OPTION.
    Raises ConfigError.
    """
    which, _, option = part.partition(".")
    stages = [dict(one) for one in listed] if isinstance(listed, list) else []
    places = [str(n) for n, one in enumerate(stages) if which in (str(n), one.get("stage"))]
    if len(places) != 1 or not option:
        names = [f"{n}: {one.get('stage')}" for n, one in enumerate(stages)]
        known = ", ".join(names) or "there is no list of stages"
        why = f"{part} must name one stage by its name or place, and an option; here: {known}"
        raise ConfigError(source=f"--set {assignment}", why=why)
    stages[int(places[0])][option] = new
    return stages


def assignment(step: str, option: str, value: str) -> str:
    """``step.option=value`` with a text that `override` reads back as it is."""
    from curate.configs.yaml_reader import load_text

    try:
        plain = load_text(value) == value and len(value.splitlines()) == 1
    except ValueError:
        plain = False
    return f"{step}.{option}={value if plain else json.dumps(value)}"


def parse(steps: Iterable[Mapping[str, Any]], catalog: Catalog, source: object) -> Pipeline:
    """The enabled steps, options checked against their types and ranges.

    Raises ConfigError naming `source` for an unknown stage or option, a value out of range, a name
    used twice, or an order that cannot run. Its fields `step` and `option` say what it is about.
    """
    parsed: list[Step] = []
    seen: set[str] = set()
    level: Level = "video"
    raw_steps = list(steps)
    for raw in raw_steps:
        if "stage" not in raw and raw.get("with") is not None:
            _check_partner(raw, raw_steps, catalog, source)
        step = (
            _stage_step(raw, catalog, source)
            if "stage" in raw
            else _filter_step(raw, level, parsed, source)
        )
        name = str(raw.get("stage") or raw.get("filter"))
        if name in seen:
            raise ConfigError(source=source, why=f"{name} is there twice", step=name)
        seen.add(name)
        if step is None:
            continue
        if isinstance(step, StageStep):
            if step.level == "video" and level == "clip":
                maker = " or ".join(s.name for s in catalog.values() if s.makes == "clip")
                why = f"{name} works on videos and must come before {maker}"
                raise ConfigError(source=source, why=why, step=name)
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
        raise ConfigError(source=source, why=_unknown("stage", name, catalog), step=name)
    spec = catalog[name]
    options = {k: v for k, v in raw.items() if k != "stage"}
    unknown = [k for k in options if k not in spec.Options.model_fields]
    if unknown:
        known = hint(str(unknown[0]), spec.Options.model_fields)
        why = f"stage {name} has no option {unknown[0]}; {known}"
        raise ConfigError(source=source, why=why, step=name, option=unknown[0])
    try:
        checked = spec.Options(**options)
    except ValidationError as error:
        why = f"stage {name}, {first_problem(error)}"
        where = error.errors(include_url=False)[0]["loc"]
        option = where[0] if where else ""
        raise ConfigError(source=source, why=why, step=name, option=option) from None
    return StageStep(name, spec, checked) if checked.enabled else None


_FILTER_KEYS = ("filter", "where", "enabled", "with")


def _filter_step(
    raw: Mapping[str, Any], level: Level, before: list[Step], source: object
) -> FilterStep | None:
    name = str(raw["filter"])
    where = raw.get("where")
    unknown = next((k for k in raw if k not in _FILTER_KEYS), None)
    why, option = "", ""
    if unknown is not None:
        why, option = _unknown(f"key of filter {name}", str(unknown), _FILTER_KEYS), unknown
    elif not name.isidentifier():
        why, option = f"filter name {name!r} must be letters, digits and _", "filter"
    elif not isinstance(where, str) or not where.strip():
        why, option = f"filter {name} needs where: with an SQL predicate", "where"
    elif not isinstance(raw.get("enabled", True), bool):
        why, option = f"filter {name}, enabled: must be true or false", "enabled"
    if why:
        raise ConfigError(source=source, why=why, step=name, option=option)
    partner = raw.get("with")
    off = partner is not None and not any(
        isinstance(s, StageStep) and s.name == partner for s in before
    )
    if off or not raw.get("enabled", True):
        return None
    return FilterStep(name, str(where).strip(), level)


def _check_partner(
    raw: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    catalog: Catalog,
    source: object,
) -> None:
    """Raise ConfigError unless `with` of a filter names a stage, which comes before if at all."""
    name, partner = raw["filter"], raw["with"]
    why = ""
    if not isinstance(partner, str):
        why = "it must be the name of a stage"
    elif partner not in catalog:
        why = _unknown("stage", partner, catalog)
    elif partner in [step.get("stage") for step in steps[list(steps).index(raw) :]]:
        why = f"stage {partner} comes later; put the filter behind it"
    if why:
        why = f"filter {name}, with: {why}"
        raise ConfigError(source=source, why=why, step=name, option="with")


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {what} {name}; {hint(name, known)}"


def hint(name: str, known: Iterable[str]) -> str:
    """The known name that comes nearest to another one or, when none is near, all of them, in
    words.
    """
    names = sorted(known)
    near = nearest(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
