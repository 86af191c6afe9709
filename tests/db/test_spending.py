"""What requests cost, the budget, and answers that are paid for and not saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.spending import (
    KeptAnswer,
    Spent,
    add_spending,
    forget_answers,
    kept_answers,
    pause_at_budget,
    spent_by_stage,
)
from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, tmp_path: Path) -> Line:
    return make_line(database_url, tmp_path, ["score"])


def test_what_a_stage_cost_adds_up_and_the_budget_pauses_the_dataset(line: Line) -> None:
    engine, dataset, text_now = line.engine, line.dataset.id, line.dataset.pipeline_text
    add_spending(engine, dataset, "a", Spent(1, 10, 5, 0.5))
    add_spending(engine, dataset, "a", Spent(2, 10, 5, 0.75))
    add_spending(engine, dataset, "b", Spent(1))
    assert spent_by_stage(engine, dataset) == {"a": Spent(3, 20, 10, 1.25), "b": Spent(1)}
    assert pause_at_budget(engine, dataset, "a", 1.26, text_now) is None
    assert pause_at_budget(engine, dataset, "c", 0.1, text_now) is None
    assert line.rows("SELECT state FROM datasets") == [("running",)]
    assert pause_at_budget(engine, dataset, "a", 1.25, "[]") == 1.25  # it may have more by now
    assert line.rows("SELECT state FROM datasets") == [("running",)]
    assert pause_at_budget(engine, dataset, "a", 1.25, text_now) == 1.25
    assert line.rows("SELECT state FROM datasets") == [("paused",)]


@pytest.mark.parametrize(
    "saved",
    [
        "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
        " SELECT clip_id, 'm', '', '', 'x', created_at FROM answers",
        "INSERT INTO rewrites (clip_id, variant, model, revision, prompt, text, drift, added,"
        " created_at) SELECT clip_id, 'v', 'm', '', '', 'x', 0, '[]', created_at FROM answers",
    ],
    ids=["captions", "rewrites"],
)
def test_an_answer_is_kept_until_it_is_saved(line: Line, saved: str) -> None:
    engine, ids = line.engine, line.put_clips(3, "score")
    for clip in ids[:2]:
        add_spending(
            engine, line.dataset.id, "a", Spent(1), [KeptAnswer(clip, "r1", f"old {clip}")]
        )
        add_spending(engine, line.dataset.id, "a", Spent(1), [KeptAnswer(clip, "r1", f"{clip}")])
    assert kept_answers(engine, "a", "r1", ids) == {(i, "r1"): f"{i}" for i in ids[:2]}
    assert kept_answers(engine, "a", "r2", ids) == kept_answers(engine, "b", "r1", ids) == {}
    forget_answers(engine, "a", ids[:1])
    assert list(kept_answers(engine, "a", "r1", ids)) == [(ids[1], "r1")]
    with engine.begin() as connection:  # saved, but the process died before it forgot
        connection.execute(text(saved))
    assert kept_answers(engine, "a", "r1", ids) == {}
    add_spending(engine, line.dataset.id, "a", Spent(1), [KeptAnswer(ids[1], "r1", "anew")])
    assert kept_answers(engine, "a", "r1", ids) == {(ids[1], "r1"): "anew"}
