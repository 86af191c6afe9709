"""What a snapshot predicts is what a refilter then does, whatever rows stand where."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from curate.configs.pipeline import parse
from curate.configs.schema import LEVELS
from curate.db import datasets
from curate.db.preview import preview
from curate.db.refilter import replace_pipeline
from curate.view.snapshot import ChangedFilters, Snapshot, take_snapshot
from tests.pipelines import CATALOG, Line
from tests.view.rows import GRID, make_rows

TRIALS = 20  # each moves several thresholds


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Rows everywhere."""
    return make_rows(database_url, home)


def snapshot_of(line: Line) -> Snapshot:
    """A snapshot of the dataset `set` as it is now."""
    dataset = datasets.pick(line.engine, "set")
    return take_snapshot(line.engine, dataset, parse(dataset.frozen, CATALOG, "test"))


def at_random(rng: random.Random, snapshot: Snapshot) -> ChangedFilters:
    """Some thresholds on values that rows have or between them, and sometimes a filter off."""
    numbers = {}
    for key, threshold in snapshot.thresholds.items():
        if rng.random() < 0.6:
            whole = threshold.clause.column in ("num_frames", "clip_index")
            values = list(range(15)) if whole else GRID
            numbers[key] = rng.choice([float(rng.choice(values)), rng.uniform(-2, 13)])
    off = {step.name for step in snapshot.pipeline.filters if rng.random() < 0.1}
    return ChangedFilters(numbers, off)


def applied(line: Line, snapshot: Snapshot, changes: ChangedFilters) -> dict[str, int]:
    """Refilter with these changes, as `curate refilter --set` does."""
    steps = snapshot.steps(changes)
    dataset = datasets.pick(line.engine, "set")
    return replace_pipeline(line.engine, dataset, parse(steps, CATALOG, "test"))


def test_what_is_predicted_is_what_a_refilter_does(line: Line) -> None:
    rng = random.Random(7)
    changed = {"lost": 0, "come_back": 0}
    for trial in range(TRIALS):
        snapshot = snapshot_of(line)
        changes = at_random(rng, snapshot)
        predicted = snapshot.predict(changes)
        previewed = preview(
            line.engine,
            datasets.pick(line.engine, "set"),
            parse(snapshot.steps(changes), CATALOG, "test"),
        ).in_all
        done = applied(line, snapshot, changes)
        for level in LEVELS:
            filters = [step.name for step in snapshot.filters(level)]
            of_dataset = "dataset_id = (SELECT id FROM datasets WHERE name = 'set')"
            after = line.rows(
                f"SELECT status IN ('kept', 'active'), reason, owner IS NULL FROM {level}s"
                f" WHERE {of_dataset} ORDER BY id"
            )
            found = predicted[level]
            assert [bool(row[0]) for row in after] == found.goes_on.tolist(), (trial, level)
            for (_, reason, _), number, judged in zip(
                after, found.verdict, found.rows.decided, strict=True
            ):
                if judged and number >= 0:
                    assert reason == filters[number]
            assert found.counts == previewed[level], (trial, level)
            counts = line.rows(
                f"SELECT status, count(*) FROM {level}s WHERE {of_dataset} GROUP BY 1"
            )
            by_status = {str(status): rows for status, rows in counts}
            assert found.counts.kept + found.counts.come_back + found.at_work == sum(
                by_status.get(status, 0) for status in ("kept", "active")
            )
        each = [prediction.counts for prediction in predicted.values()]
        assert done["dropped"] == sum(counts.lost for counts in each)
        assert done["revived"] == sum(counts.come_back for counts in each)
        changed["lost"] += done["dropped"]
        changed["come_back"] += done["revived"]
        for step in snapshot.pipeline.filters:  # filters that were off join again
            if step.name in changes.off:
                applied(line, snapshot, ChangedFilters(changes.numbers))
                break
    assert min(changed.values()) > 50, changed


def test_those_that_come_back_tell_whether_they_have_stages_to_go_through(line: Line) -> None:
    snapshot = snapshot_of(line)
    changes = ChangedFilters(off={step.name for step in snapshot.pipeline.filters})
    counts = snapshot.predict(changes)["clip"].counts
    before = line.rows(
        "SELECT stage = 'done' FROM clips WHERE status = 'dropped' AND reason <> 'of_old' AND"
        " owner IS NULL AND dataset_id = 2 AND video_id IN (SELECT id FROM videos WHERE status <>"
        " 'dropped' OR (reason = 'long' AND owner IS NULL))"
    )
    assert counts.come_back >= len(before) > 0
    assert 0 < counts.to_go < counts.come_back


@pytest.mark.parametrize("off", [{"long"}, {"good"}, {"long", "good", "first", "fine", "unusual"}])
def test_filters_that_are_off_are_as_if_they_were_not_there(line: Line, off: set[str]) -> None:
    snapshot = snapshot_of(line)
    counts = [
        prediction.counts for prediction in snapshot.predict(ChangedFilters(off=off)).values()
    ]
    done = applied(line, snapshot, ChangedFilters(off=off))
    assert done["dropped"] == sum(c.lost for c in counts)
    assert done["revived"] == sum(c.come_back for c in counts)


def test_nothing_changes_where_the_filters_in_force_were_applied(line: Line) -> None:
    applied(line, snapshot_of(line), ChangedFilters())
    snapshot = snapshot_of(line)
    for prediction in snapshot.predict(ChangedFilters()).values():
        assert (prediction.counts.lost, prediction.counts.come_back) == (0, 0)


def test_a_disabled_filter_is_no_longer_in_the_pipeline(line: Line) -> None:
    steps = snapshot_of(line).steps(ChangedFilters({"good.0": 1.0}, {"fine"}))
    assert json.loads(json.dumps(steps))[4] == {"filter": "good", "where": "score >= 1"}
    assert "fine" not in [step.name for step in parse(steps, CATALOG, "test").filters]
