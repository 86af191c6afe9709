"""Old batches are deleted, a few at a time."""

from __future__ import annotations

import pytest

from curate.db import datasets, prune
from curate.db.prune import prune_batches
from tests.db.reports.test_batches import log
from tests.pipelines import Line


def test_pruning_spares_other_datasets_and_younger_batches(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = datasets.create(line.engine, "other", "/w", line.pipeline)
    monkeypatch.setattr(prune, "PRUNED_AT_ONCE", 2)
    for _ in range(5):
        log(line, ago=3 * 86400.0)
    log(line)
    log(line, dataset_id=other.id, ago=3 * 86400.0)
    assert prune_batches(line.engine, line.dataset.id, 2) == 5
    assert line.rows("SELECT count(*) FROM batches") == [(2,)]
