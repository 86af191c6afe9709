"""The page Scores: thresholds that move, and what each would cost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Engine

from curate.configs.errors import UsageError
from curate.configs.schema import Level
from curate.db.engine import reading
from curate.db.filters.clauses import number_text
from curate.db.filters.judge import Judge
from curate.db.reports.distribution import VALUES_AT_ONCE, measures
from curate.db.reports.histogram import Binned, histogram
from curate.view import predictions
from curate.view.loading import WantedRows, read_columns
from curate.view.security import Page, Refusal
from curate.view.snapshot import ChangedFilters, Prediction, Snapshot, Threshold, take_snapshot
from curate.view.state import Home, ShownDataset

P = ParamSpec("P")
T = TypeVar("T")

DATASETS = 2  # whose rows are kept in memory; those looked at last
WAIT = 5.0  # seconds that a request waits for a snapshot


@dataclass
class Taken:
    """A snapshot, the pipeline it was taken with, and the histograms made of it."""

    pipeline_text: str
    snapshot: Snapshot
    histograms: dict[str, Binned | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)  # of who reads more columns


class StillReading(Refusal):
    """The rows of a dataset are still being read; `rows` of them have been. `through` is done at
    the end.
    """

    def __init__(self, rows: int, through: Future[None]) -> None:
        super().__init__(503, f"Still reading: {rows} rows so far")
        self.rows = rows
        self.through = through


class _Reading:
    """A snapshot that a thread takes."""

    def __init__(self, engine: Engine, shown: ShownDataset) -> None:
        self.pipeline_text = shown.dataset.pipeline_text
        self.through: Future[None] = Future()
        self.error: Exception | None = None
        self._rows = 0
        self._taken: Taken | None = None
        threading.Thread(target=self._take, args=(engine, shown), daemon=True).start()

    def _take(self, engine: Engine, shown: ShownDataset) -> None:
        try:
            snapshot = take_snapshot(engine, shown.dataset, shown.pipeline, self._count)
            self._taken = Taken(self.pipeline_text, snapshot)
        except Exception as error:  # noqa: BLE001  `result` raises it
            self.error = error
        self.through.set_result(None)

    def _count(self, rows: int) -> None:
        self._rows = rows

    def result(self) -> Taken:
        """The snapshot. Raises StillReading, or what went wrong."""
        if self.error:
            raise self.error
        if not self._taken:
            raise StillReading(self._rows, self.through)
        return self._taken


class Snapshots:
    """The snapshots of the datasets that were looked at last, each taken once."""

    def __init__(self) -> None:
        self._readings: OrderedDict[tuple[str, int], _Reading] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, home: Home, shown: ShownDataset) -> Taken:
        """The snapshot of a dataset. A new one is taken when the filters have changed.

        Raises StillReading until it is taken; once, what went wrong: ServiceError, NotANumber.
        """
        key = str(shown.engine.url), shown.dataset.id
        with self._lock:
            reading = self._readings.get(key)
            if reading is None or reading.pipeline_text != shown.dataset.pipeline_text:
                reading = self._begin(key, home, shown)
            self._readings.move_to_end(key)
            if reading.error:
                del self._readings[key]
        return reading.result()

    def renew(self, home: Home, shown: ShownDataset) -> None:
        """Take a new one of a dataset, unless one is being taken right now."""
        key = str(shown.engine.url), shown.dataset.id
        with self._lock:
            if key not in self._readings or self._readings[key].through.done():
                self._begin(key, home, shown)

    def _begin(self, key: tuple[str, int], home: Home, shown: ShownDataset) -> _Reading:
        self._readings.pop(key, None)  # before the next one is in memory
        while len(self._readings) >= DATASETS:
            self._readings.popitem(last=False)
        self._readings[key] = _Reading(home.patient or shown.engine, shown)
        return self._readings[key]


SNAPSHOTS = Snapshots()


def describe(home: Home, name: str) -> dict[str, Any]:
    """The filters, their thresholds, and the columns that were measured."""
    return predictions.describe(SNAPSHOTS.of(home, home.open(name)).snapshot)


def check_asked(home: Home, name: str, key: str, column: str) -> None:
    """Whether there is such a threshold or measured column of clips. Raises UsageError."""
    snapshot = SNAPSHOTS.of(home, home.open(name)).snapshot
    if key:
        _threshold(snapshot, key)
    elif column not in measures(snapshot.pipeline, "clip"):
        raise UsageError(what=f"There is no measured column {column}")


def show_histogram(home: Home, name: str, key: str, column: str) -> dict[str, Any]:
    """The histogram that belongs to a threshold, or of a column of clips."""
    shown = home.open(name)
    return histogram_json(home, shown, SNAPSHOTS.of(home, shown), key, column)


def histogram_json(
    home: Home, shown: ShownDataset, taken: Taken, key: str, column: str = ""
) -> dict[str, Any]:
    """`show_histogram` of a snapshot, with a threshold or column that is there."""
    found = histogram_of(home, shown, taken, key, column)
    level: Level = taken.snapshot.thresholds[key].step.level if key else "clip"
    return predictions.show_histogram(found, taken.snapshot.rows[level].going_on)


def histogram_of(
    home: Home, shown: ShownDataset, taken: Taken, key: str, column: str = ""
) -> Binned | None:
    """A histogram of a snapshot, made when it is asked for the first time."""
    if key:
        if key not in taken.histograms:
            taken.histograms[key] = predictions.threshold_histogram(taken.snapshot, key)
        return taken.histograms[key]
    asked = _key_of(column)
    with taken.lock:  # who waits finds that it was read ahead
        if asked not in taken.histograms:
            _read_histograms(home, shown, taken, column)
        return taken.histograms[asked]


def _key_of(column: str) -> str:
    return f" {column}"  # no key of a threshold begins with a space


def _read_histograms(home: Home, shown: ShownDataset, taken: Taken, column: str) -> None:
    """Make the histogram of a column that no filter looks at, and of others that will be asked for:
    one pass over the clips reads as many columns as fit in memory together.
    """
    snapshot = taken.snapshot
    rows = snapshot.rows["clip"]
    others = [
        name
        for name in predictions.other_columns(snapshot)
        if name != column and _key_of(name) not in taken.histograms
    ]
    columns = [column, *others][: max(1, VALUES_AT_ONCE // max(1, len(rows)))]
    wanted = WantedRows(Judge.of(shown.dataset, snapshot.pipeline), "clip", columns)
    with reading(home.patient or shown.engine) as connection:
        values = read_columns(connection, rows, wanted)
    for name in columns:
        whole = predictions.column_of(snapshot, "clip", name).kind == "int"
        found = histogram(values.pop(name), whole, predictions.BINS)
        taken.histograms[_key_of(name)] = found


def _threshold(snapshot: Snapshot, key: str) -> Threshold:
    if key not in snapshot.thresholds:
        raise UsageError(what=f"There is no threshold {key}")
    return snapshot.thresholds[key]


def read_changes(snapshot: Snapshot, moves: str, off: str) -> ChangedFilters:
    """The changes that a URL tells: `sharp.0:20,moving.1:0.5`, and filters that are off.

    Raises UsageError.
    """
    numbers: dict[str, float] = {}
    for part in filter(None, moves.split(",")):
        key, _, number = part.rpartition(":")
        try:
            numbers[_threshold(snapshot, key).key] = float(number)
            number_text(numbers[key])
        except ValueError as error:
            raise UsageError(what=f"{key}: {error}") from None
    names = {name for name in off.split(",") if name}
    unknown = names - {step.name for step in snapshot.pipeline.filters}
    if unknown:
        raise UsageError(what=f"There is no filter {min(unknown)}")
    return ChangedFilters(numbers, names)


def show_prediction(home: Home, name: str, moves: str, off: str, key: str) -> dict[str, Any]:
    """What changed filters would do, the command that makes it so, and how the histogram of the
    threshold `key` then looks.
    """
    shown = home.open(name)
    taken = SNAPSHOTS.of(home, shown)
    if key:
        _threshold(taken.snapshot, key)
    return prediction_json(home, shown, taken, read_changes(taken.snapshot, moves, off), key)


def prediction_json(
    home: Home, shown: ShownDataset, taken: Taken, changes: ChangedFilters, key: str = ""
) -> dict[str, Any]:
    """`show_prediction` of changes to a snapshot."""
    predicted = taken.snapshot.predict(changes)
    answer = predictions.show_prediction(taken.snapshot, predicted, changes)
    words = predictions.refilter_words(taken.snapshot, shown.dataset.name, changes)
    answer["command"] = home.command(*words) if answer["yaml"] else ""
    found = histogram_of(home, shown, taken, key) if key else None
    if found:
        level = taken.snapshot.thresholds[key].step.level
        answer["bins"] = found.counts(predicted[level].goes_on)
    return answer


def show_clips(home: Home, name: str, moves: str, off: str, key: str) -> dict[str, Any]:
    """Clips that would change, and those nearest to the threshold `key`."""
    shown = home.open(name)
    snapshot = SNAPSHOTS.of(home, shown).snapshot
    changes = read_changes(snapshot, moves, off)
    predicted: Mapping[Level, Prediction] = snapshot.predict(changes)
    found = predictions.changed_clips(shown, snapshot, predicted)
    if key:
        threshold = _threshold(snapshot, key)
        number = changes.numbers.get(key, threshold.clause.number)
        found |= predictions.nearest_clips(shown, snapshot, threshold, number)
    return found


class _OfSnapshot(Page):
    """A handler that needs the snapshot of a dataset."""

    async def ask(
        self,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What a function returns that looks at a snapshot: it waits for that some seconds, and
        keeps no thread meanwhile. Raises StillReading.
        """
        end = time.monotonic() + WAIT
        while True:
            try:
                return await self.work(function, *args, **kwargs)
            except StillReading as still:
                if time.monotonic() > end:
                    raise
                through = asyncio.wrap_future(still.through)
                await asyncio.wait([through], timeout=end - time.monotonic())


class Scores(_OfSnapshot):
    """/api/scores"""

    async def get(self) -> None:
        """The filters and columns; with `fresh=1`, of rows read anew.

        While the rows are being read, only how many have been: the page then asks again.
        """
        name = self.text("dataset")
        if self.choice("fresh", ("1",)):
            await self.work(SNAPSHOTS.renew, self.home, await self.shown())
        try:
            found = await self.ask(describe, self.home, name)
        except StillReading as still:
            found = {"reading": still.rows}
        self.send_json(found)


class OneHistogram(_OfSnapshot):
    """/api/histogram"""

    async def get(self) -> None:
        """The histogram of the threshold `key`, or of the column `column`."""
        key, column = self.text("key"), self.text("column")
        if bool(key) == bool(column):
            raise Refusal(400, "Give either key or column")
        asked = (self.home, self.text("dataset"), key, column)
        await self.ask(check_asked, *asked)
        pool = self.pools.patient if column else self.pools.quick
        self.send_json(await self.work_in(pool, show_histogram, *asked))


class _Changed(_OfSnapshot):
    """Arguments: `moves` and `off`, the changes; `key`, the threshold that is looked at."""

    def arguments(self) -> tuple[str, str, str, str]:
        """The dataset and the arguments."""
        return (
            self.text("dataset"),
            self.text("moves", longest=4000),
            self.text("off", longest=4000),
            self.text("key"),
        )


class WhatIf(_Changed):
    """/api/whatif"""

    async def get(self) -> None:
        """What changed filters would do, in numbers."""
        self.send_json(await self.ask(show_prediction, self.home, *self.arguments()))


class ChangedClips(_Changed):
    """/api/changes"""

    async def get(self) -> None:
        """What changed filters would do, in clips."""
        self.send_json(await self.ask(show_clips, self.home, *self.arguments()))


ROUTES = [
    (r"/api/scores", Scores),
    (r"/api/histogram", OneHistogram),
    (r"/api/whatif", WhatIf),
    (r"/api/changes", ChangedClips),
]
