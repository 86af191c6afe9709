"""The page Scores: thresholds that move, and what each would cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.configs.errors import UsageError
from curate.configs.schema import Level
from curate.db.engine import reading
from curate.db.filters.clauses import number_text
from curate.view import predictions
from curate.view.histogram import Histogram, histogram
from curate.view.loading import Wanted, read_column
from curate.view.security import Page, Refusal
from curate.view.snapshot import Changes, Prediction, Snapshot, take_snapshot
from curate.view.state import Home, Shown

DATASETS = 2  # whose rows are kept in memory; those looked at last


@dataclass
class Taken:
    """A snapshot, the pipeline it was taken with, and the histograms made of it."""

    pipeline_text: str
    snapshot: Snapshot
    histograms: dict[str, Histogram | None] = field(default_factory=dict)


class Snapshots:
    """The snapshots of the datasets that were looked at last, each taken once."""

    def __init__(self) -> None:
        self._taken: OrderedDict[tuple[str, int], Taken] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, shown: Shown, fresh: bool = False) -> Taken:
        """That of a dataset; another one when it was asked for, or when the filters changed."""
        key = str(shown.engine.url), shown.dataset.id
        with self._lock:  # who comes meanwhile waits, and need not read it all again
            taken = self._taken.get(key)
            if fresh or taken is None or taken.pipeline_text != shown.dataset.pipeline_text:
                self._taken.pop(key, None)
                del taken  # before the next one is in memory
                snapshot = take_snapshot(shown.engine, shown.dataset, shown.pipeline)
                taken = Taken(shown.dataset.pipeline_text, snapshot)
                self._taken[key] = taken
                while len(self._taken) > DATASETS:
                    self._taken.popitem(last=False)
            self._taken.move_to_end(key)
            return taken


SNAPSHOTS = Snapshots()


def describe(home: Home, name: str, fresh: bool) -> dict[str, Any]:
    """The filters, their thresholds, and the columns that were measured."""
    return predictions.describe(SNAPSHOTS.of(home.open(name), fresh).snapshot)


def show_histogram(home: Home, name: str, key: str, column: str) -> dict[str, Any]:
    """The histogram that belongs to a threshold, or of a column of clips."""
    shown = home.open(name)
    taken = SNAPSHOTS.of(shown)
    found = _histogram(shown, taken, key, column)
    level: Level = _threshold(taken.snapshot, key).step.level if key else "clip"
    return predictions.show_histogram(found, taken.snapshot.rows[level].going_on)


def _histogram(shown: Shown, taken: Taken, key: str, column: str) -> Histogram | None:
    asked = key or f" {column}"  # no key of a threshold begins with a space
    if asked not in taken.histograms:
        if key:
            _threshold(taken.snapshot, key)
            found = predictions.threshold_histogram(taken.snapshot, key)
        else:
            if column not in predictions.measured_columns(taken.snapshot):
                raise UsageError(what=f"There is no measured column {column}")
            wanted = Wanted(taken.snapshot.pipeline, shown.dataset.id, "clip", [column])
            with reading(shown.engine) as connection:
                values = read_column(connection, taken.snapshot.rows["clip"], wanted)
            kind = predictions.column_of(taken.snapshot, "clip", column).kind
            found = histogram(values, kind == "int")
        taken.histograms[asked] = found
    return taken.histograms[asked]


def _threshold(snapshot: Snapshot, key: str) -> Any:
    if key not in snapshot.thresholds:
        raise UsageError(what=f"There is no threshold {key}")
    return snapshot.thresholds[key]


def read_changes(snapshot: Snapshot, moves: str, off: str) -> Changes:
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
    return Changes(numbers, names)


def show_prediction(home: Home, name: str, moves: str, off: str, key: str) -> dict[str, Any]:
    """What changed filters would do, the command that makes it so, and how the histogram of the
    threshold `key` then looks.
    """
    shown = home.open(name)
    taken = SNAPSHOTS.of(shown)
    changes = read_changes(taken.snapshot, moves, off)
    predicted = taken.snapshot.predict(changes)
    answer = predictions.show_prediction(taken.snapshot, predicted, changes)
    words = predictions.refilter_words(taken.snapshot, shown.dataset.name, changes)
    answer["command"] = home.command(*words) if answer["yaml"] else ""
    found = _histogram(shown, taken, key, "") if key else None
    if found:
        level = _threshold(taken.snapshot, key).step.level
        answer["bins"] = found.counts(predicted[level].goes_on)
    return answer


def show_clips(home: Home, name: str, moves: str, off: str, key: str) -> dict[str, Any]:
    """Clips that would change, and those nearest to the threshold `key`."""
    shown = home.open(name)
    snapshot = SNAPSHOTS.of(shown).snapshot
    changes = read_changes(snapshot, moves, off)
    predicted: Mapping[Level, Prediction] = snapshot.predict(changes)
    found = predictions.changed_clips(shown.engine, snapshot, predicted)
    if key:
        threshold = _threshold(snapshot, key)
        number = changes.numbers.get(key, threshold.clause.number)
        found |= predictions.nearest_clips(shown.engine, snapshot, threshold, number)
    return found


class Scores(Page):
    """/api/scores"""

    async def get(self) -> None:
        """The filters and columns; with `fresh=1` as they are now."""
        fresh = self.choice("fresh", ("1",)) == "1"
        self.send_json(await self.work(describe, self.home, self.text("dataset"), fresh))


class OneHistogram(Page):
    """/api/histogram"""

    async def get(self) -> None:
        """That of the threshold `key`, or of the column `column`."""
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
