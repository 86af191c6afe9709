"""What the page Scores shows of a snapshot, as JSON-ready values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from curate.configs.pipeline import FilterStep, assignment
from curate.configs.schema import LEVELS, Column, Level
from curate.db.reports.distribution import known_columns, measures
from curate.db.reports.histogram import Binned, histogram
from curate.view.clips import cards
from curate.view.loading import Bools
from curate.view.snapshot import NONE, ChangedFilters, Prediction, Snapshot, Threshold
from curate.view.state import ShownDataset

BINS = 72  # of a histogram, besides those that a threshold adds
NEAREST, SAMPLE = 6, 12  # clips shown of each side of a threshold, and of what changes


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """The filters with their thresholds, and the other columns that stages measured."""
    predicted = snapshot.predict(ChangedFilters())
    return {
        "as_of": snapshot.taken,
        "rows": {f"{level}s": len(snapshot.rows[level]) for level in LEVELS},
        "filters": [filter_json(snapshot, step, predicted) for step in snapshot.pipeline.filters],
        "columns": [
            {"name": name, "doc": column.doc, "better": column.better}
            for name in other_columns(snapshot)
            for column in [column_of(snapshot, "clip", name)]
        ],
    }


def other_columns(snapshot: Snapshot) -> list[str]:
    """The measures of clips that no threshold is about."""
    looked_at = {t.clause.column for t in snapshot.thresholds.values() if t.step.level == "clip"}
    return [name for name in measures(snapshot.pipeline, "clip") if name not in looked_at]


def filter_json(
    snapshot: Snapshot, step: FilterStep, predicted: Mapping[Level, Prediction]
) -> dict[str, Any]:
    """A filter, its thresholds, and the rows that came in and were dropped; those that failed or
    are at work are not counted.
    """
    found = predicted[step.level]
    number = snapshot.filters(step.level).index(step)
    # a row that was picked to drop, or fell with its video, came to no filter of its own
    dropped = found.rows.decided & (found.verdict == number)
    later = (found.verdict > number) | (found.verdict == NONE)
    came = dropped | (found.rows.decided & snapshot.met(step) & later)
    return {
        "name": step.name,
        "level": step.level,
        "where": step.where,
        "came_in": int(np.count_nonzero(came)),
        "dropped": int(np.count_nonzero(dropped)),
        "others": snapshot.clauses[step.name].texts,
        "thresholds": [
            threshold_json(snapshot, t) for t in snapshot.thresholds.values() if t.step is step
        ],
    }


def threshold_json(snapshot: Snapshot, threshold: Threshold) -> dict[str, Any]:
    """A threshold and its column."""
    column = column_of(snapshot, threshold.step.level, threshold.clause.column)
    return {
        "key": threshold.key,
        "column": threshold.clause.column,
        "op": threshold.clause.op,
        "number": threshold.clause.number,
        "whole": column.kind == "int",
        "doc": column.doc,
        "better": column.better,
    }


def column_of(snapshot: Snapshot, level: Level, name: str) -> Column:
    """A column of clips or videos, as its stage or the schema declares it."""
    stages = snapshot.pipeline.stages
    known = known_columns(snapshot.pipeline, level)
    written = (s.columns[name] for s in stages if s.level == level and name in s.columns)
    return next(written, None) or known[name]


def threshold_histogram(snapshot: Snapshot, key: str) -> Binned | None:
    """The histogram of what a threshold is compared with; None where nothing is measured."""
    threshold = snapshot.thresholds[key]
    column = column_of(snapshot, threshold.step.level, threshold.clause.column)
    return histogram(
        snapshot.values(threshold),
        column.kind == "int",
        BINS,
        upper=threshold.clause.op in ("<=", ">"),
        threshold=threshold.clause.number,
    )


def show_histogram(found: Binned | None, goes_on: Bools) -> dict[str, Any]:
    """A histogram of all measured rows, and of those that go on."""
    if found is None:
        return {"measured": 0, "of": len(goes_on)}
    return {
        "measured": found.measured,
        "of": len(goes_on),
        "edges": found.edges.tolist(),
        "log": found.log,
        "all": found.counts(),
        "kept": found.counts(goes_on),
        "quantiles": found.quantiles,
    }


def show_prediction(
    snapshot: Snapshot, predicted: Mapping[Level, Prediction], changes: ChangedFilters
) -> dict[str, Any]:
    """What changed filters would do, in numbers, and the filters in YAML."""
    changed = changed_filters(snapshot, changes)
    steps = [
        {"filter": step.name, "where": snapshot.where(step, changes)}
        | ({"enabled": False} if step.name in changes.off else {})
        for step in changed
    ]
    text = yaml.safe_dump(steps, sort_keys=False, allow_unicode=True, width=10**6)
    return {
        **{
            f"{level}s": asdict(predicted[level].counts) | {"at_work": predicted[level].at_work}
            for level in LEVELS
        },
        "yaml": text if steps else "",
    }


def changed_filters(snapshot: Snapshot, changes: ChangedFilters) -> list[FilterStep]:
    """The filters that changes are about, in order."""
    moved = {snapshot.thresholds[key].step.name for key in changes.numbers} | {*changes.off}
    return [step for step in snapshot.pipeline.filters if step.name in moved]


def refilter_words(snapshot: Snapshot, name: str, changes: ChangedFilters) -> list[str]:
    """The words behind `curate` that make the changes. Raises ValueError as `Snapshot.where`."""
    words = ["refilter", name]
    for step in changed_filters(snapshot, changes):
        where = snapshot.where(step, changes)
        off = step.name in changes.off
        words += [
            "--set",
            f"{step.name}.enabled=false" if off else assignment(step.name, "where", where),
        ]
    return words


def changed_clips(
    shown: ShownDataset, snapshot: Snapshot, predicted: Mapping[Level, Prediction]
) -> dict[str, Any]:
    """A random sample of the clips that would be lost, and of those that would come back."""
    found = predicted["clip"]
    chance = np.random.default_rng(0)  # the same clips while a threshold is moved a little
    groups = {}
    for name, rows in (("lost", found.lost), ("come_back", found.come_back)):
        indexes = np.flatnonzero(rows)
        sample = chance.permutation(indexes)[:SAMPLE] if len(indexes) > SAMPLE else indexes
        groups[name] = np.sort(sample)
    return show_clips(shown, snapshot, groups)


def nearest_clips(
    shown: ShownDataset, snapshot: Snapshot, threshold: Threshold, number: float
) -> dict[str, Any]:
    """The clips nearest to a threshold, on both sides of it: those that do not pass, and that do.

    Of a threshold of videos, the first clip of each of the nearest videos.
    """
    groups = nearest_rows(snapshot, threshold, number, NEAREST)
    if threshold.step.level == "video":
        video = snapshot.rows["clip"].video
        first = {n: [np.flatnonzero(video == v)[:1] for v in g] for n, g in groups.items()}
        groups = {n: np.concatenate([*g, np.zeros(0, np.int64)]) for n, g in first.items()}
    return show_clips(shown, snapshot, groups, threshold)


def nearest_rows(
    snapshot: Snapshot, threshold: Threshold, number: float, most: int
) -> dict[str, NDArray[np.int64]]:
    """The indexes of the rows nearest to a threshold, the nearest first, at most `most` a side."""
    values = snapshot.values(threshold)
    asked = snapshot.met(threshold.step) & snapshot.rows[threshold.step.level].decided
    passing = threshold.passes(values, number)
    groups = {}
    for name, side in (
        ("fails", asked & ~passing & ~np.isnan(values)),
        ("passes", asked & passing),
    ):
        indexes = np.flatnonzero(side)
        distance = np.abs(values[indexes] - number)
        if len(indexes) > most:
            near = np.argpartition(distance, most)[:most]
            indexes, distance = indexes[near], distance[near]
        groups[name] = indexes[np.argsort(distance, kind="stable")]
    return groups


def show_clips(
    shown: ShownDataset,
    snapshot: Snapshot,
    groups: Mapping[str, NDArray[np.int64]],
    threshold: Threshold | None = None,
) -> dict[str, Any]:
    """Clips by their indexes, as the list of clips shows them, with their value for a threshold.

    Clips that were deleted since are left out.
    """
    rows = snapshot.rows["clip"]
    ids = sorted({int(rows.ids[index]) for indexes in groups.values() for index in indexes})
    known = {card["id"]: card for card in cards(shown, ids)}
    found: dict[str, Any] = {}
    for name, indexes in groups.items():
        found[name] = []
        for index in indexes:
            value = None
            if threshold:
                at = index if threshold.step.level == "clip" else rows.video[index]
                value = float(snapshot.values(threshold)[at])
            card = known.get(int(rows.ids[index]))
            found[name] += [{**card, "value": value}] if card else []
    return found
