"""What a stage may declare about itself: its columns and its options, each typed, with range and
default. And the states of a dataset and of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["video", "clip"]
LEVELS: tuple[Level, ...] = ("video", "clip")
Queue = Literal["cpu", "ascend"]
QUEUES: tuple[Queue, ...] = get_args(Queue)
ColumnKind = Literal["float", "int", "text"]

ABSENT = "absent"  # fingerprint of a file that is not there: it changes when the file appears

# states of a dataset; only a running one is worked on
RUNNING, PAUSED, CANCELLED = "running", "paused", "cancelled"
DELETING = "deleting"  # for good: rows and files of it may be gone already

# an accelerator takes as long for one row as for many
FILL_SECONDS: dict[Queue, float] = {"cpu": 0, "ascend": 20}


@dataclass(frozen=True)
class Column:
    """A column that a stage writes. NULL means not measured.

    `doc` says the formula, unit and direction; `low` and `high` bound the values (None: no bound).
    `counted` marks a text of few values: `curate stats` tells how many rows have each of them.
    """

    kind: ColumnKind
    doc: str
    low: float | None = None
    high: float | None = None
    better: Literal["higher", "lower", ""] = ""
    counted: bool = False

    @property
    def range(self) -> str:
        """The range as text, e.g. ``0 to 1``; empty for text columns."""
        if self.low is None and self.high is None:
            return ""
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{low} to {high}"


@dataclass(frozen=True)
class Order:
    """How a stage takes its rows when their order matters; it then has one batch at a time a
    dataset.

    `number` names the column that the stage counts the rows in, and `recalled` those that it wants
    back of rows it has taken. `by` names the columns that rows are sorted by, `-` in front for
    descending. With `whole` the stage waits until nothing is upstream; without, it follows behind
    the first video that is not through the stages before it. `duplicate_of` names the column that
    holds the id of an earlier clip, the original, if the stage writes one, and `duplicate` the
    column that is 1 in clips that have one, else 0. When the original is deleted, all columns of
    the stage become NULL again and the row waits for it once more. When it is picked to drop, the
    earliest of its duplicates takes its place. `tables` names the side tables whose rows come back
    too.
    """

    number: str
    recalled: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    by: tuple[str, ...] = ("video_id", "clip_index")
    whole: bool = False
    duplicate_of: str | None = None
    duplicate: str = "duplicate"


class StageOptions(BaseModel):
    """Options that every stage has; a stage adds its own by subclassing."""

    # built when a stage is first used: a command uses a few of them
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    change_no_score: ClassVar[tuple[str, ...]] = (
        "queue",
        "batch_size",
        "pass_size",
        "fill_seconds",
        "time_limit",
        "memory_mb",
    )
    """Names of options, where a stage has them, that only say where and when its batches run, how
    large they are and how long they may take. `curate set` changes them while rows are at work.
    """

    followers: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Options whose defaults go by another one, by its name: they follow when it changes."""

    def changes_no_score(self, option: str) -> bool:
        """Whether `curate set` may change an option, or a part of one: `captioners.openai.url`."""
        return option in self.change_no_score

    def deciding(self) -> dict[str, Any]:
        """The options that decide what the stage writes, by name."""
        return self.model_dump(exclude=set(self.change_no_score))

    enabled: bool = Field(True, description="run this stage")
    queue: Queue = Field("cpu", description="the Celery queue its tasks go to")
    batch_size: int = Field(16, ge=1, le=4096, description="rows claimed by one task")
    fill_seconds: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="seconds to wait for a full batch while stages before it are at work; "
        "null: 20 on ascend, 0 on cpu",
    )
    time_limit: float = Field(
        600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    memory_mb: int = Field(
        4096, ge=512, le=1 << 20, description="memory a worker process may take, in MB"
    )


class StageSpec(Protocol):
    """What the rest of curate needs to know of a stage; subclasses of `curate.tasks.stage.Stage`
    have it and say what each attribute means.
    """

    name: ClassVar[str]
    level: ClassVar[Level]
    makes: ClassVar[Level | None]
    comes_first: ClassVar[bool]
    comes_last: ClassVar[bool]
    form: ClassVar[int]
    stops_at_once: ClassVar[bool]
    columns: ClassVar[dict[str, Column]]
    own_columns: ClassVar[dict[str, Column]]
    reads: ClassVar[tuple[str, ...]]
    Options: ClassVar[type[StageOptions]]

    @classmethod
    def order(cls, options: Any) -> Order | None:
        """The order in which rows are taken; None: any."""
        ...

    @classmethod
    def models(cls, options: Any) -> tuple[Any, ...]:
        """The model weights that it needs, each a `curate.tasks.models.catalog.Need`."""
        ...

    @classmethod
    def neighbours(cls, options: Any) -> int:
        """How many clips before and after each clip it sees."""
        ...


def describe_options(options: type[StageOptions]) -> list[dict[str, Any]]:
    """One dict an option: name, type, default, range and description; what `curate stages NAME`
    prints.
    """
    properties = options.model_json_schema()["properties"]
    rows = []
    for name, spec in properties.items():
        kinds = [str(v.get("type", "choice")) for v in _variants(spec)]
        if any(v.get("type") == "null" for v in spec.get("anyOf", [])):
            kinds.append("null")
        row = {
            "option": name,
            "type": " or ".join(kinds),
            "default": options.model_fields[name].get_default(call_default_factory=True),
            "range": _range(spec),
            "description": spec.get("description", ""),
        }
        rows.append(row)
    return rows


def _variants(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [v for v in spec.get("anyOf", [spec]) if v.get("type") != "null"]


def _range(spec: dict[str, Any]) -> str:
    parts: list[str] = []
    for variant in _variants(spec):
        parts += [str(variant["const"])] if "const" in variant else []
        if "enum" in variant:
            parts.append(" | ".join(map(str, variant["enum"])))
        for key, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
        ):
            if key in variant:
                parts.append(f"{sign} {variant[key]:.10g}")
    return ", ".join(parts)
