"""The view of a dataset, and the overview of all of them."""

from __future__ import annotations

from curate.db import datasets
from curate.db.reports.failures import BlockedStage
from curate.db.reports.overview import (
    DatasetView,
    Recent,
    condition,
    overview,
    recent,
    view_dataset,
)
from curate.db.worker_rows import RunningWorker, record_workers
from tests.db.reports.conftest import put
from tests.db.reports.test_batches import log
from tests.pipelines import Line


def view(line: Line, recent: Recent | None = None) -> DatasetView:
    return view_dataset(line.engine, line.dataset.id, line.pipeline, recent)


def test_all_numbers_of_a_view_are_of_the_same_rows(line: Line) -> None:
    put(line, "score", "active", count=3)
    put(line, "score", "failed", "NotFinite")
    put(line, "inorder", "dropped", "good", count=2)
    found = view(line, Recent(rates={"score": 1.5}))
    score = next(s for s in found.stages if s.stage == "score")
    assert (score.waiting, score.failed, score.dropped, score.eta) == (3, 1, 2, 2.0)
    assert [s.came_in for s in found.steps if s.step in ("score", "good", "inorder")] == [6, 2, 0]
    assert (found.totals.active, found.totals.failed, found.totals.dropped) == (3, 1, 2)
    assert sum(c.rows for c in found.counts if c.level == "clip") == 6


def test_a_view_is_over_when_nothing_is_left_or_the_dataset_was_cancelled(line: Line) -> None:
    put(line, "done", "kept")
    assert (view(line).finished, view(line).over) == (True, True)
    put(line, "score", "active", "x")
    assert (view(line).finished, view(line).over) == (False, False)
    datasets.cancel(line.engine, line.dataset)
    assert (view(line).finished, view(line).over, view(line).state) == (False, True, "cancelled")


def test_the_last_batches_tell_rates_and_what_is_blocked(line: Line) -> None:
    log(line, ago=0.0, seconds=10.0, n_ok=99)
    log(line, stage="inorder", ago=1.0, n_ok=0, n_failed=0, error="no room", reason="DiskFull")
    found = recent(line.engine, line.dataset.id, line.pipeline)
    assert list(found.rates) == ["score"]
    assert [(b.stage, b.reason, b.message) for b in found.blocked] == [
        ("inorder", "DiskFull", "no room")
    ]
    assert isinstance(view(line, found).blocked[0], BlockedStage)


def test_an_overview_has_every_dataset_and_worker(line: Line) -> None:
    put(line, "score", "active", count=2)
    datasets.create(line.engine, "other", "/v", line.pipeline)
    record_workers(line.engine, [(None, RunningWorker("cpu0", "h", 1, "cpu", 4, None, "1"))])
    found = overview(line.engine)
    assert {name: v.totals.clips for name, v in found.views.items()} == {"set": 2, "other": 0}
    assert found.names[line.dataset.id] == "set"
    assert [w.node for w in found.workers] == ["cpu0@h"]
    assert found.size > 10_000


def test_what_a_dataset_is_at(line: Line) -> None:
    def told(refiltering: bool = False) -> str:
        return condition(view(line), refiltering)

    assert told() == "empty"
    put(line, "done", "kept")
    assert (told(), told(refiltering=True)) == ("done", "refiltering")
    put(line, "score", "failed", "NotFinite")
    assert told() == "has failed"
    put(line, "score", "active", "x")
    assert told() == "waiting"
    put(line, "score", "active", "y", held=True)
    assert told() == "running"
    datasets.pause(line.engine, line.dataset)
    assert told() == "paused"
    datasets.cancel(line.engine, line.dataset)
    assert told() == "cancelled"
