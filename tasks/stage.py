"""The whole extension API: a stage is one file in tasks/ (or one entry point) with one class.

A scorer in full::

    class Redness(Scorer):
        \"\"\"Mean red of the middle frame.\"\"\"

        name = "redness"
        columns = {"redness": Column("float", "mean red of the middle frame", 0, 255)}

        def score(self, clip: Clip) -> Scores:
            return {"redness": float(clip.samples.middle()[..., 0].mean())}

The column, the Celery task, the status row, SQL and the CSV follow from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline
from curate.configs.row_errors import RowError
from curate.configs.schema import Column, Level, Order, StageOptions
from curate.configs.settings import Settings
from curate.tasks.models.catalog import Need
from curate.tasks.models.device import Dtype
from curate.tasks.servers.server_stage import Answer, OpenGate, RequestGate, ServerLimit, Usage
from curate.tasks.storage.archives import RemoteArchives
from curate.tasks.storage.locations import below
from curate.tasks.video.span import Span, access_of

if TYPE_CHECKING:
    from curate.tasks.video.samples import Samples

__all__ = [
    "AscendOptions", "Clip", "Column", "Context", "Field", "Fit", "Need", "NewClip", "Order",
    "Outcome", "Rows", "Scorer", "Scores", "Stage", "StageOptions", "Storable", "Video",
]  # fmt: skip

Value = float | int | str | None
Scores = Mapping[str, Value]
Tables = Mapping[str, Sequence[Mapping[str, Any]]]  # rows by table
OptionsT = TypeVar("OptionsT", bound=StageOptions)
RowT = TypeVar("RowT")
FrameT = TypeVar("FrameT")

COUNT_EVERY = 16  # frames


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds the character NUL, which Postgres cannot store in a text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"it holds half a character ({text[error.start]!a}), which no database can store"
        ) from None
    return text


Storable = Annotated[str, AfterValidator(_storable)]  # a text that every database can store


class AscendOptions(StageOptions):
    """Options of a stage that runs a network."""

    # only processes of this queue load MindSpore; there is one for each device
    queue: Literal["ascend"] = Field(
        "ascend", description="the Celery queue its tasks go to, on an NPU or without"
    )
    batch_size: int = Field(32, ge=1, le=4096, description="rows claimed by one task")
    time_limit: float = Field(
        3600, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    dtype: Dtype = Field(
        "auto",
        description="what weights are held in on an NPU, auto: float16; the CPU uses float32",
    )


class EngineOptions(AscendOptions):
    """Options of a stage whose network runs by MindSpore on an NPU and on ONNX Runtime on a CPU."""

    queue: Literal["cpu", "ascend"] = Field(  # type: ignore[assignment]
        "ascend",
        description="cpu: on ONNX Runtime; ascend: by MindSpore on an NPU, and without one on "
        "ONNX Runtime where it is installed",
    )


@dataclass(frozen=True)
class Video:
    """A source file: one row of `videos`.

    `path` is what to open: an absolute path or a URL. `relpath` is relative to what was enqueued.
    `values` holds every column of the row. `fingerprint` is that of the file as it was probed.
    """

    id: int
    dataset_id: int
    path: str
    relpath: str
    values: Mapping[str, Any]
    fingerprint: str = ""

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True)
class Clip:
    """A span of a video: one row of `clips`.

    The span holds the frames with ``start_pts <= pts < end_pts``: presentation time stamps as the
    source stores them, in units of `time_base` seconds. `values` holds every column of the row.
    """

    id: int
    dataset_id: int
    index: int  # within the video, from 0
    video: Video
    start_pts: int
    end_pts: int
    time_base: Fraction
    values: Mapping[str, Any]
    samples_from: Path | RemoteArchives
    # the clip's rows of each table that the stage names in `reads`
    tables: Tables = field(default_factory=dict)
    # those of the clips around it in its video, by their distance: -1 is the clip before it
    neighbours: Mapping[int, Tables] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    @property
    def span(self) -> Span:
        """Where the clip is in its video, and how its frames are reached."""
        planned = self.values.get("num_frames")
        frames = None if planned is None else int(planned)
        values = self.video.values
        access = access_of(values.get("time_jumps"), values.get("seekable"))
        return Span(self.start_pts, self.end_pts, self.time_base, frames, access)

    @cached_property
    def samples(self) -> Samples:
        """The frames that split sampled from this clip. Raises SamplesMissing, ServiceError."""
        from curate.tasks.video.samples import Samples

        video = self.video
        return Samples.open(self.samples_from, video.id, self.index, video.fingerprint)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in the source, as displayed.

        The columns `width` and `height` are those of its file, once `cut` has changed them. Raises
        SamplesMissing, ServiceError.
        """
        return self.samples.size or (int(self["width"]), int(self["height"]))


@dataclass(frozen=True)
class NewClip:
    """A clip that split found. `scores` are columns of `clips`; time stamps are as in Clip."""

    index: int
    start_pts: int
    end_pts: int
    scores: Scores


@dataclass(frozen=True)
class Rows:
    """Rows of a clip in a side table: they replace its rows for which `where` holds.

    The stage names `table` in `writes`. Neither `where` nor `rows` hold clip_id: it is the clip's.
    Rows of captions may hold `fields`, texts by field, as those that are read do.
    """

    table: str
    where: Scores
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a stage found for one row: its columns and, from split, the clips of the video.

    `scores` are columns of that row: `own_columns` of a stage that makes rows, `columns` of others.

    `drop` is the reason to drop the row although nothing failed, such as a video without a long
    enough scene. `tables` are rows for side tables: embeddings, option scores, captions.
    """

    scores: Scores
    clips: Sequence[NewClip] = ()
    drop: str | None = None
    tables: Sequence[Rows] = ()


@dataclass(frozen=True)
class Fit:
    """What was learned of all clips of a dataset; a stage that is `fitted` works by it.

    `number` tells the fits of a database apart. `model` and `revision` made the embeddings that it
    was learned from; `arrays` is a file of NumPy.
    """

    number: int
    model: str
    revision: str
    arrays: bytes


Count = Callable[[Video | Clip, int], None]
# the id of an earlier clip and, where the stage has a column for it, how far away it is
Match = tuple[int] | tuple[int, float]


def count_nothing(row: Video | Clip, frames: int) -> None:
    """Nobody waits."""


@dataclass(frozen=True)
class Context:
    """What a stage knows besides its rows and options.

    `folder` is the name of the folder of the dataset's clips. `count` is told how many frames of a
    row are done. `fit` is there when the stage is `fitted`, and the dataset has one. `gate` is that
    of a ServerStage: its requests go through `permit`, and `spend` counts what they cost.
    """

    settings: Settings
    pipeline: Pipeline = field(default_factory=lambda: Pipeline(()))
    folder: str = ""
    count: Count = count_nothing
    fit: Fit | None = None
    gate: RequestGate = field(default_factory=OpenGate)

    def permit(self, limit: ServerLimit, seconds: float) -> AbstractContextManager[None]:
        """Wait until a server takes one more request, see RequestGate."""
        return self.gate.permit(limit, seconds)

    def spend(self, usage: Usage, answer: Answer | None = None) -> None:
        """Count what a request cost, see RequestGate."""
        self.gate.spend(usage, answer)

    def answers(self, request: str, row_ids: Sequence[int]) -> Mapping[tuple[int, str], str]:
        """Answers that were paid for and not saved, see RequestGate."""
        return self.gate.answers(request, row_ids)

    @cached_property
    def clips(self) -> Path | str:
        """Where the files of the dataset's clips are: a folder, or a URL."""
        return below(self.settings.clips, self.folder)

    @cached_property
    def samples(self) -> Path | str:
        """Where the archives of samples are: a folder, or a URL."""
        return self.settings.samples

    def counted(self, row: Video | Clip, frames: Iterable[FrameT]) -> Iterator[FrameT]:
        """The frames of a row as they are; people who wait are shown how many are done."""
        for number, frame in enumerate(frames, 1):
            yield frame
            if number % COUNT_EVERY == 0:
                self.count(row, number)


class Stage(ABC, Generic[RowT, OptionsT]):
    """A named step that rows of one level wait for.

    A process makes one object for each dataset. A stage must be safe to run again on the same row:
    it writes files under a temporary name and renames them when they are whole.
    """

    name: ClassVar[str]
    level: ClassVar[Level]
    """The level of the rows that wait for the stage."""
    makes: ClassVar[Level | None] = None
    """The level of the new rows in `Outcome.clips`; `columns` are then those of the new rows."""
    columns: ClassVar[dict[str, Column]] = {}
    own_columns: ClassVar[dict[str, Column]] = {}
    """Of a stage that makes rows: the columns of the row that waited for it."""
    Options: ClassVar[type[StageOptions]] = StageOptions
    reads: ClassVar[tuple[str, ...]] = ()
    """Side tables whose rows come with each clip: embeddings, option_scores, captions, rewrites."""
    may_lack: ClassVar[tuple[str, ...]] = ()
    """Tables of `reads` that no stage of the pipeline has to write."""
    writes: ClassVar[tuple[str, ...]] = ()
    """Side tables that the stage writes rows of."""
    comes_first: ClassVar[bool] = False
    """Every pipeline begins with these stages; among them, those that make rows come last."""
    comes_last: ClassVar[bool] = False
    """Stages with `default_step` join a pipeline before this one."""
    default_step: ClassVar[bool] = False
    """Pipelines that do not mention the stage get it too."""
    opens_source: ClassVar[bool] = False
    """It reads the source itself. What it finds is not saved when the file was replaced meanwhile.
    """
    form: ClassVar[int] = 1
    """Which form of its measures this code makes. Raise it when the same columns come to mean
    something else, and write it to a column ``<name>_form`` (NULL: 1); see docs/adding-a-scorer.md.
    """
    fitted: ClassVar[str] = ""
    """It works by what was learned of the dataset for the stage of this name: `Context.fit`."""
    redone_with: ClassVar[tuple[str, ...]] = ()
    """Stages by whose columns it works: when one is done again for all clips, so is this one."""
    stops_at_once: ClassVar[bool] = False
    """A worker that is told to stop gives up a batch of the stage, which is done again, instead of
    waiting for it: right where a batch takes long and costs nothing but time. Then `run` may end
    between any two statements, and must leave no half-written file. Where few rows wait, its
    batches are smaller than `batch_size`, so that all processes of the host have some."""
    imports: ClassVar[tuple[str, ...]] = ()
    """Modules that `run` imports, for `preload`."""

    def __init__(self, options: OptionsT, context: Context) -> None:
        self.options = options
        self.context = context

    @classmethod
    def preload(cls) -> None:
        """Import the modules named in `imports`: what each process would else import by itself.

        Called in a Celery worker of `cpu` before its processes are forked. No thread may be started
        and no model loaded: neither survives a fork.
        """
        for name in cls.imports:
            import_module(name)

    @classmethod
    def order(cls, options: Any) -> Order | None:
        """The order of an ordered stage: one batch at a time per dataset. None: in any order."""
        return None

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise a ServiceError when a package, model or file that the stage needs is missing.

        Called at `curate enqueue`, so that a run does not stop after hours of work.
        """

    @classmethod
    def reads_beside(cls, options: Any) -> tuple[str, ...]:
        """Extensions of files beside the videos that the stage reads, such as `.txt`."""
        return ()

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError when the stages before this one do not write what its options name."""

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The model weights that the stage needs; `enqueue` refuses a pipeline without them."""
        return ()

    @classmethod
    def neighbours(cls, options: Any) -> int:
        """How many clips before and after each clip the stage sees, by their rows of the tables in
        `reads`: `Clip.neighbours`. What stages before it have not written yet is not there.
        """
        return 0

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn the clips that an ordered stage has processed since the last call, in any process.

        Each mapping has id and the columns that the stage's Order names. Called before each batch.
        """

    def load(self) -> None:
        """Load what is heavy, such as a model. Called once, before the first batch."""

    @abstractmethod
    def run(self, row: RowT) -> Outcome:
        """The outcome for one row.

        An exception fails this row only; a ServiceError, or a full disk, releases the batch.
        """

    def run_batch(self, rows: Sequence[RowT]) -> Sequence[Outcome | RowError | ServiceError]:
        """Outcomes in the order of `rows`. Override it where a batch is cheaper than its rows.

        A RowError in place of an outcome fails that row only. A ServiceError releases the row, and
        the stage pauses once the other rows are saved. When an override raises, the runner tries
        the rows one by one.
        """
        return [self.run(row) for row in rows]


class BatchStage(Stage[RowT, OptionsT]):
    """A stage of which a batch is cheaper than its rows. A subclass needs only `run_batch`."""

    @abstractmethod
    def run_batch(self, rows: Sequence[RowT]) -> Sequence[Outcome | RowError | ServiceError]:
        """Outcomes in the order of `rows`, as of every stage."""

    def run(self, row: RowT) -> Outcome:
        """The outcome of a batch of one row; raises the error that it has in place of one."""
        (outcome,) = self.run_batch([row])
        if not isinstance(outcome, Outcome):
            raise outcome
        return outcome


class Scorer(Stage[Clip, OptionsT]):
    """A stage that writes score columns of a clip. A subclass needs only `score`."""

    level = "clip"

    @abstractmethod
    def score(self, clip: Clip) -> Scores:
        """The columns of one clip; None: not measured. NaN and infinity are refused."""

    def run(self, row: Clip) -> Outcome:
        """The scores as an outcome."""
        return Outcome(self.score(row))


class DuplicateStage(BatchStage[Clip, OptionsT]):
    """An ordered stage that marks a clip when an earlier surviving one is like it.

    A subclass has `order`, `extend` and `matches`, and its columns in this order: 1 or 0; the id of
    the earlier clip; the distance, if there is one; the number in the order.
    """

    level = "clip"

    def __init__(self, options: OptionsT, context: Context) -> None:
        super().__init__(options, context)
        self._last = 0  # number of the clip that was recalled last

    @classmethod
    @abstractmethod
    def order(cls, options: Any) -> Order:
        """The order, with its columns `number`, `duplicate` and `duplicate_of`."""

    @abstractmethod
    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn survivors, in order: their ids and the columns that `order` recalls."""

    @abstractmethod
    def matches(self, rows: Sequence[Clip]) -> Sequence[Match | RowError | None]:
        """For each clip the earliest survivor that it is like, also one of these clips; None where
        there is none. None of them is learned: `extend` does that once they are saved.
        """

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn the clips that any process took since the last call, this one included."""
        order = self.order(self.options)
        self.extend([row for row in rows if row[order.duplicate] == 0])
        self._last = max([self._last, *(row[order.number] for row in rows)])

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """Outcomes of clips in order; each is also compared with earlier survivors of the batch."""
        outcomes: list[Outcome | RowError] = []
        for number, match in enumerate(self.matches(rows), self._last + 1):
            if isinstance(match, RowError):
                outcomes.append(match)
                continue
            found = match or (None,) * (len(self.columns) - 2)
            values = (int(match is not None), *found, number)
            outcomes.append(Outcome(dict(zip(self.columns, values, strict=True))))
        return outcomes
