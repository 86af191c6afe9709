"""The page Scores: thresholds that move, and what each would cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from curate.configs.errors import UsageError
from curate.configs.schema import Level
from curate.db.engine import reading
from curate.db.filters.clauses import number_text
from curate.db.filters.judge import Judge
from curate.db.reports.distribution import usual_columns
from curate.db.reports.histogram import Binned, histogram
from curate.view import predictions
from curate.view.loading import WantedRows, read_columns
from curate.view.security import Page, Refusal
from curate.view.snapshot import ChangedFilters, Prediction, Snapshot, Threshold, take_snapshot
from curate.view.state import Home, ShownDataset

DATASETS = 2  # whose rows stay in memory: those looked at last
WAIT = 5.0  # seconds that a request waits for a snapshot


@dataclass
class Taken:
    """A snapshot, the pipeline it was taken with, and the histograms made of it."""

    pipeline_text: str
    snapshot: Snapshot
    histograms: dict[str, Binned | None] = field(default_factory=dict)


class StillReading(Refusal):
    """The rows of a dataset are still being read; `rows` of them have been."""

    def __init__(self, rows: int) -> None:
        super().__init__(503, f"Still reading: {rows} rows so far")
        self.rows = rows


class _Reading:
    """A snapshot that a thread takes."""

    def __init__(self, engine: Engine, shown: ShownDataset) -> None:
        self.pipeline_text = shown.dataset.pipeline_text
        self.rows = 0
        self._taken: Taken | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self.take, args=(engine, shown), daemon=True)
        self._thread.start()

    def take(self, engine: Engine, shown: ShownDataset) -> None:
        try:
            snapshot = take_snapshot(engine, shown.dataset, shown.pipeline, self.count)
            self._taken = Taken(self.pipeline_text, snapshot)
        except Exception as error:  # noqa: BLE001  `result` raises it
            self._error = error

    def count(self, rows: int) -> None:
        self.rows = rows

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self._error is not None

    @property
    def ended(self) -> bool:
        """Whether its thread has ended."""
        return not self._thread.is_alive()

    def result(self, seconds: float | None) -> Taken:
        """The snapshot. Raises StillReading after so many seconds, or what went wrong."""
        self._thread.join(seconds)
        if self._error:
            raise self._error
        if not self._taken:
            raise StillReading(self.rows)
        return self._taken


class Snapshots:
    """The snapshots of the datasets that were looked at last, each taken once."""

    def __init__(self) -> None:
        self._readings: OrderedDict[tuple[str, int], _Reading] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, home: Home, shown: ShownDataset, fresh: bool = False, seconds: float | None = WAIT
    ) -> Taken:
        """The snapshot of a dataset. A new one is taken when the filters have changed, and with
        `fresh`, unless one is being taken right now.

        Raises StillReading when it takes longer than `seconds`; ServiceError, NotANumber.
        """
        key = str(shown.engine.url), shown.dataset.id
        with self._lock:
            reading = self._readings.get(key)
            old = reading is None or reading.pipeline_text != shown.dataset.pipeline_text
            if old or (reading and reading.ended and (fresh or reading.failed)):
                self._readings.pop(key, None)
                del reading  # before the next one is in memory
                reading = _Reading(home.patient or shown.engine, shown)
                self._readings[key] = reading
                while len(self._readings) > DATASETS:
                    self._readings.popitem(last=False)
            self._readings.move_to_end(key)
        assert reading is not None
        return reading.result(seconds)


SNAPSHOTS = Snapshots()


def describe(home: Home, name: str, fresh: bool) -> dict[str, Any]:
    """The filters, their thresholds, and the columns that were measured."""
    return predictions.describe(SNAPSHOTS.of(home, home.open(name), fresh).snapshot)


def show_histogram(home: Home, name: str, key: str, column: str) -> dict[str, Any]:
    """The histogram that belongs to a threshold, or of a column of clips."""
    shown = home.open(name)
    taken = SNAPSHOTS.of(home, shown)
    if key:
        _threshold(taken.snapshot, key)
    elif column not in usual_columns(taken.snapshot.pipeline, "clip"):
        raise UsageError(what=f"There is no measured column {column}")
    return histogram_json(home, shown, taken, key, column)


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
    asked = key or f" {column}"  # no key of a threshold begins with a space
    if asked not in taken.histograms:
        if key:
            taken.histograms[key] = predictions.threshold_histogram(taken.snapshot, key)
        else:
            read_histograms(home, shown, taken, [column])
    return taken.histograms[asked]


def read_histograms(home: Home, shown: ShownDataset, taken: Taken, columns: Sequence[str]) -> None:
    """Make the histograms of columns that no filter looks at, in one pass over the clips."""
    judge = Judge.of(shown.dataset, taken.snapshot.pipeline)
    wanted = WantedRows(judge, "clip", columns)
    with reading(home.patient or shown.engine) as connection:
        values = read_columns(connection, taken.snapshot.rows["clip"], wanted)
    for column in columns:
        kind = predictions.column_of(taken.snapshot, "clip", column).kind
        taken.histograms[f" {column}"] = histogram(
            values.pop(column), kind == "int", predictions.BINS
        )


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


class Scores(Page):
    """/api/scores"""

    async def get(self) -> None:
        """The filters and columns; with `fresh=1`, of rows read anew.

        While the rows are being read, only how many have been: the page then asks again.
        """
        fresh = self.choice("fresh", ("1",)) == "1"
        try:
            found = await self.work(describe, self.home, self.text("dataset"), fresh)
        except StillReading as still:
            found = {"reading": still.rows}
        self.send_json(found)


class OneHistogram(Page):
    """/api/histogram"""

    async def get(self) -> None:
        """The histogram of the threshold `key`, or of the column `column`."""
        key, column = self.text("key"), self.text("column")
        if bool(key) == bool(column):
            raise Refusal(400, "Give either key or column")
        dataset = self.text("dataset")
        self.send_json(await self.work(show_histogram, self.home, dataset, key, column))


class _Changed(Page):
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
        self.send_json(await self.work(show_prediction, self.home, *self.arguments()))


class ChangedClips(_Changed):
    """/api/changes"""

    async def get(self) -> None:
        """What changed filters would do, in clips."""
        self.send_json(await self.work(show_clips, self.home, *self.arguments()))


ROUTES = [
    (r"/api/scores", Scores),
    (r"/api/histogram", OneHistogram),
    (r"/api/whatif", WhatIf),
    (r"/api/changes", ChangedClips),
]
