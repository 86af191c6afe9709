"""Fits of a dataset: the newest one of a stage is in force, earlier ones can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import UsageError
from curate.db.datasets import pick
from curate.db.fits import newest_fit, read_fit, save_fit
from tests.pipelines import Line, make_line, pipeline

VALUES = {"model": "m", "revision": "r", "options": {"seed": 3}, "arrays": b"\x00\xff"}


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["embed", "score"])


def test_a_stage_has_no_fit_at_first_then_the_newest(line: Line, home: Path) -> None:
    other = make_line(line.settings.database, home, ["embed"], name="other")
    assert newest_fit(line.engine, line.dataset.id, "score") is None
    first = save_fit(line.engine, line.dataset, line.pipeline, "score", **VALUES)
    second = save_fit(line.engine, line.dataset, line.pipeline, "score", **VALUES)
    assert newest_fit(line.engine, line.dataset.id, "score") == second > first
    assert newest_fit(line.engine, line.dataset.id, "heads") is None
    assert newest_fit(line.engine, other.dataset.id, "score") is None


def test_a_fit_is_read_as_it_was_saved(line: Line) -> None:
    number = save_fit(line.engine, line.dataset, line.pipeline, "score", **VALUES)
    fit = read_fit(line.engine, number)
    assert (fit.model, fit.revision, fit.options, fit.arrays) == (
        "m",
        "r",
        {"seed": 3},
        b"\x00\xff",
    )


def test_a_stage_may_join_the_pipeline_with_its_fit(line: Line) -> None:
    more = pipeline("embed", "score", "heads")
    save_fit(line.engine, line.dataset, more, "heads", **VALUES)
    assert [s["stage"] for s in pick(line.engine, "set").frozen][2:] == ["embed", "score", "heads"]
    assert line.rows("SELECT heads FROM clips") == []
    with pytest.raises(UsageError, match="changed the pipeline"):
        save_fit(line.engine, line.dataset, line.pipeline, "score", **VALUES)
