"""history: what each stage has done, and old batches deleted."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from curate.db.engine import writing
from tests.cli.conftest import Call, Filled


def test_history_and_pruning(curate: Call, filled: Filled) -> None:
    (row,) = curate("history", "--json").json
    assert (row["stage"], row["batches"], row["ok"], row["failed"], row["versions"]) == (
        "probe",
        1,
        2,
        1,
        ["0"],
    )
    assert row["rows_per_busy_second"] == pytest.approx(3)
    head, line = curate("history").out.splitlines()
    assert head.split()[:5] == ["stage", "batches", "ok", "failed", "given_back"]
    assert line.split()[:5] == ["probe", "1", "2", "1", "0"]
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE batches SET started_at = :t"), {"t": time.time() - 3 * 86400}
        )
    assert "0 batches deleted" in curate("history", "--prune", "4").err
    assert "1 batch deleted" in curate("history", "--prune", "2").err
    assert curate("history", "--prune", "0.5").code == 2
