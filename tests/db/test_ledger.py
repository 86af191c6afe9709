"""The ledger: what each filter says of a row, and what would let the row in."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text

from curate.configs.pipeline import DONE, Pipeline, parse
from curate.configs.schema import Level
from curate.db import datasets
from curate.db.filters.verdict import verdict_of
from curate.db.ledger import LedgerLine, changes, ledger, way_back
from curate.db.schema import clips
from tests.pipelines import CATALOG, Line, make_line, pipeline

FILTERS = [
    "wide: width >= 100",
    "score",
    "some: score >= 2 AND num_frames BETWEEN 5 AND 20",
    "named: text IS NULL OR text = 'x'",
    "second",
    "other: other > 4",
]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Clips before `second` with the scores 0, 1, 2 and NULL, of 10 frames, of a video 64 wide."""
    made = make_line(database_url, home, FILTERS[1:])
    made.put_clips(4, "second")
    with made.engine.begin() as connection:
        measured = "UPDATE clips SET num_frames = 10, score = clip_index WHERE clip_index < 3"
        connection.execute(text(measured))
        connection.execute(text("UPDATE videos SET width = 64"))
    return made


def told(line: Line, row_id: int, level: Level = "clip") -> dict[str, LedgerLine]:
    return {found.filter: found for found in ledger(line.engine, line.pipeline, level, row_id)}


def test_each_filter_in_order_has_its_verdict(line: Line) -> None:
    verdicts = {
        row_id: [found.verdict for found in told(line, row_id).values()] for row_id in (1, 3, 4)
    }
    assert list(told(line, 1)) == ["some", "named", "other"]
    assert verdicts == {
        1: ["fails", "passes", "not reached"],
        3: ["passes", "passes", "not reached"],
        4: ["not measured", "passes", "not reached"],
    }


def test_a_condition_is_judged_by_itself_with_its_values(line: Line) -> None:
    judged = [(c.where, c.verdict, c.values, c.threshold) for c in told(line, 1)["some"].clauses]
    assert judged == [
        ("score >= 2", "fails", {"score": 0.0}, 2.0),
        ("num_frames >= 5", "passes", {"num_frames": 10}, 5.0),
        ("num_frames <= 20", "passes", {"num_frames": 10}, 20.0),
    ]


def test_thresholds_move_to_the_row_and_no_further(line: Line) -> None:
    assert told(line, 1)["some"].passes_with == "score >= 0 AND num_frames BETWEEN 5 AND 20"
    assert told(line, 3)["some"].passes_with == ""
    assert told(line, 4)["some"].passes_with == (
        "(score >= 2 OR score IS NULL) AND (num_frames >= 5 OR num_frames IS NULL)"
        " AND (num_frames <= 20 OR num_frames IS NULL)"
    )


@pytest.mark.parametrize(
    ("where", "moved"),
    [
        ("score > 1", "score > 0.9999999999999999"),
        ("1.5<=score and text is null", "1<=score and text is null"),
        ("score < 1", "score < 1.0000000000000002"),
        ("score - 1 > 0", ""),
        ("num_frames < 10 AND score BETWEEN 2 AND 3", "num_frames < 11 AND score BETWEEN 1 AND 3"),
        ("score > 1e3 AND duplicate = 0", ""),
        ("score > 1 OR score < 0", ""),
        ("(score > 1) AND (num_frames IN (10) OR TRUE)",
         "(score > 0.9999999999999999) AND (num_frames IN (10) OR TRUE)"),
    ],
)  # fmt: skip
def test_how_far_thresholds_move_for_a_score_of_1(line: Line, where: str, moved: str) -> None:
    line.pipeline = pipeline("score", {"filter": "some", "where": where}, "second")
    assert told(line, 2)["some"].passes_with == moved


def test_a_threshold_at_zero_moves_to_the_next_number_that_may_be_written(line: Line) -> None:
    line.pipeline = pipeline("score", {"filter": "some", "where": "score > 0"}, "second")
    assert told(line, 1)["some"].passes_with == "score > -1e-15"


def test_what_no_number_decides_has_no_other_predicate(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'y'"))
    assert changes(list(told(line, 1).values())) == {
        "some": "score >= 0 AND num_frames BETWEEN 5 AND 20",
        "named": "",
    }
    assert changes(list(told(line, 3).values())) == {"named": ""}


def test_a_filter_that_was_never_reached_asks_for_nothing(line: Line) -> None:
    found = told(line, 3)["other"]
    assert (found.passes_with, found.clauses[0].values) == ("", {"other": None})


def test_a_clip_falls_with_its_video(line: Line) -> None:
    wide = pipeline(*FILTERS[1:])
    steps = [{"stage": "probe"}, {"filter": "wide", "where": "width >= 100"}]
    line.pipeline = parse([*steps, *wide.frozen()[1:]], CATALOG, "test")
    found = told(line, 3)
    assert list(found) == ["wide", "some", "named", "other"]
    assert (found["wide"].level, found["wide"].verdict) == ("video", "fails")
    assert found["wide"].passes_with == "width >= 64"
    assert list(told(line, 1, "video")) == ["wide"]


def test_a_value_that_no_predicate_may_hold_moves_nothing(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = -1e30"))
    assert told(line, 1)["some"].passes_with == ""


@pytest.mark.parametrize(
    "where",
    [
        "score > 1",
        "score < 1 OR score IS NULL",
        "score / 0 > 1",
        "NOT score = 2",
        "score <> 1 AND score BETWEEN 1 AND 3",
        "min(score, num_frames) >= 1 AND coalesce(text, 'a') < 'b'",
        "text ILIKE '%A%'",
    ],
)
def test_the_verdict_is_that_of_the_rows(line: Line, where: str) -> None:
    """The first filter that the ledger lets nobody pass is the one that a save drops by."""
    line.pipeline = pipeline("score", {"filter": "first", "where": where}, *FILTERS[2:4])
    datasets.add_columns(line.engine, line.pipeline.columns())
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'done'"))
        verdict = verdict_of(line.pipeline, DONE, "clip", line.engine.dialect.name)
        saved = dict(connection.execute(select(clips.c.id, verdict)).all())  # type: ignore[arg-type]
    for row_id, reason in saved.items():
        lines = told(line, row_id).values()
        assert next((f.filter for f in lines if f.verdict != "passes"), None) == reason


def test_what_it_would_take_lets_the_row_in(line: Line) -> None:
    """Of each clip: with the changes the ledger passes it, whatever it was before."""
    frozen = line.pipeline.frozen()
    for row_id in (1, 2, 3, 4):
        moved = changes(list(told(line, row_id).values()))
        steps = [
            step | {"where": moved[step["filter"]]} if step.get("filter") in moved else step
            for step in frozen
        ]
        assert all(moved.values())
        changed: Pipeline = pipeline(*steps[2:])
        after = ledger(line.engine, changed, "clip", row_id)
        assert {found.verdict for found in after} == {"passes", "not reached"}


@pytest.mark.parametrize(("picked", "verdict"), [("keep", "passes"), ("drop", "fails")])
def test_a_pick_stands_before_all_filters(line: Line, picked: str, verdict: str) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET picked = :p WHERE id = 1"), {"p": picked})
    first, second, *_ = told(line, 1).values()
    assert (first.filter, first.verdict) == ("picked", verdict)
    assert first.clauses[0].values == {"picked": picked}
    assert (second.filter, second.verdict) == ("some", "fails")  # what it says if it is undone
    assert "picked" not in told(line, 2)


@pytest.mark.parametrize("values", [{"reason": None}, {}])
def test_the_way_back_of_a_row_without_a_reason(values: dict[str, str | None]) -> None:
    failed = {"id": 1, "status": "failed", "stage": "cut", **values}
    assert way_back("pets", failed, []) == ("retry", "pets", "--stage", "cut")
    assert way_back("pets", failed | {"status": "dropped"}, []) is None
