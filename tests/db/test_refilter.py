"""A refilter writes what changes and nothing else, a span at a time, and one that was interrupted
can be finished.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from curate.configs.errors import UsageError
from curate.configs.pipeline import Pipeline
from curate.db import datasets, refilter
from curate.db.refilter import replace_pipeline
from curate.db.save.batch import Outcomes, save
from tests.pipelines import Line, make_line, pipeline, writer


def looser() -> Pipeline:
    return pipeline("score", "good: score >= 1")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Four videos of three clips each, with the scores 0, 1 and 2; those below 2 are dropped."""
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    for name in "abcd":
        ids = line.put_clips(3, "score", f"/v/{name}.mp4")
        claim = line.claim("score")
        assert claim is not None
        scores = {i: {"score": float(n)} for n, i in enumerate(ids)}
        save(line.engine, claim, Outcomes(scores=scores), writer())
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET num_clips = 3"))
    return line


def statuses(line: Line) -> list[tuple[object, ...]]:
    return line.rows("SELECT status, reason, count(*) FROM clips GROUP BY 1, 2 ORDER BY 1")


def written(engine: Engine, statements: list[tuple[str, int]]) -> None:
    """Note each UPDATE of clips and how many rows it wrote."""

    def note(_c: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE clips"):
            statements.append((statement, getattr(cursor, "rowcount", -1)))

    event.listen(engine, "after_cursor_execute", note)


def test_only_rows_whose_verdict_changes_are_written(line: Line) -> None:
    seen: list[tuple[str, int]] = []
    written(line.engine, seen)
    assert replace_pipeline(line.engine, line.dataset, looser()) == {"revived": 4, "dropped": 0}
    assert sum(rows for _, rows in seen) == 4
    seen.clear()
    again = datasets.pick(line.engine, None)
    assert replace_pipeline(line.engine, again, looser()) == {"revived": 0, "dropped": 0}
    assert seen == [], "where nothing changes no write is tried"


def test_spans_hold_whole_videos_and_all_of_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 8)
    told: list[tuple[int, int]] = []
    counts = replace_pipeline(
        line.engine, line.dataset, looser(), lambda done, of: told.append((done, of))
    )
    assert counts == {"revived": 4, "dropped": 0}
    assert told == [(8, 16), (16, 16)]
    assert statuses(line) == [("dropped", "good", 4), ("kept", None, 8)]


def stop(done: int, of: int) -> None:
    raise KeyboardInterrupt


def test_a_refilter_that_was_interrupted_is_seen_and_finished(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 4)
    with pytest.raises(KeyboardInterrupt):
        replace_pipeline(line.engine, line.dataset, pipeline("score", "fine: score >= 1"), stop)
    first_judged = [("dropped", "fine", 1), ("dropped", "good", 6), ("kept", None, 5)]
    assert sorted(statuses(line), key=str) == first_judged
    half = datasets.pick(line.engine, None)
    assert half.refiltering == ["fine", "good"]
    replace_pipeline(line.engine, half, pipeline(*half_steps(half)))
    assert statuses(line) == [("dropped", "fine", 4), ("kept", None, 8)]
    assert datasets.pick(line.engine, None).refiltering == []


def half_steps(dataset: datasets.Dataset) -> list[dict[str, object]]:
    return [step for step in dataset.frozen if step.get("stage") not in ("probe", "split")]


def test_what_filters_dropped_before_an_interrupted_refilter_still_counts(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 4)
    with pytest.raises(KeyboardInterrupt):
        replace_pipeline(line.engine, line.dataset, pipeline("score", "fine: score >= 2"), stop)
    replace_pipeline(line.engine, datasets.pick(line.engine, None), pipeline("score"))
    assert statuses(line) == [("kept", None, 12)], (
        "rows of `good`, which is in neither pipeline, are revived too"
    )


def test_it_stops_when_another_command_changes_the_pipeline_meanwhile(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 4)
    others = pipeline("score", "good: score >= 0")

    def change(_done: int, _of: int) -> None:
        replace_pipeline(line.engine, datasets.pick(line.engine, None), others)

    with pytest.raises(UsageError, match="curate refilter"):
        replace_pipeline(line.engine, line.dataset, looser(), change)
    assert statuses(line) == [("kept", None, 12)]
    assert datasets.pick(line.engine, None).refiltering == []
