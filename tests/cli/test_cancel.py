"""cancel: rows at work are taken back."""

from __future__ import annotations

from curate.db.datasets import all_datasets, cancel, resume
from curate.db.save import batch as saves
from curate.db.save.batch import Outcomes
from tests.cli.conftest import Call
from tests.pipelines import Line, writer


def test_what_a_cancelled_dataset_is_at_is_not_saved_and_waits_again(line: Line) -> None:
    held = line.claim("score")
    assert held is not None
    assert cancel(line.engine, line.dataset) == 2
    found = Outcomes({i: {"score": 1.0} for i in held.ids})
    assert saves.save(line.engine, held, found, writer()).rows == 0
    assert line.rows(
        "SELECT count(*) FROM clips WHERE stage = 'score' AND owner IS NULL AND score IS NULL"
    ) == [(4,)]
    resume(line.engine, line.dataset)
    assert all_datasets(line.engine)[-1].state == "running"


def test_cancel_asks_for_a_name(curate: Call) -> None:
    assert curate("cancel").code == 2
