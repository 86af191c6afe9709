"""Which datasets are worked on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pipelines import Line, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


def test_a_dataset_that_cannot_be_read_does_not_stop_the_others(line: Line) -> None:
    from curate.db import datasets

    other = datasets.create(line.engine, "other", "/w", line.pipeline)
    with line.engine.begin() as connection:
        gone = '[{"stage": "probe"}, {"stage": "split"}, {"stage": "gone"}]'
        connection.execute(
            text("UPDATE datasets SET pipeline = :p WHERE id = :i"), {"p": gone, "i": other.id}
        )
    line.enqueue("a1.mp4")
    assert len(run_all(line, "probe")) == 1
