"""A redo: clips go back to a stage and return to where they stood; nothing between is computed
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from curate.configs.errors import FilterError, UsageError
from curate.db import datasets
from curate.db.queue.leases import Claim
from curate.db.redo import Redone, redo, route_of_free_row, route_of_leased_row, set_pipeline
from curate.db.refilter import replace_pipeline
from curate.db.reports.overview import view_dataset
from curate.db.save.batch import Outcomes, save
from tests.pipelines import Line, make_line, pipeline, writer

STEPS = [
    "some: num_frames >= 5",
    "score",
    "good: score >= 2",
    "second",
    "fine: other >= 1",
    "third",
]
STAGES = ["score", "second", "third", "done"]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """probe, split, score, second and third, with a filter before each."""
    return make_line(database_url, home, STEPS)


def put(line: Line, *stands: tuple[str, str, str | None], **values: Any) -> list[int]:
    """Clips that stand so: (stage, status, reason); they pass every filter but for `values`."""
    ids = line.put_clips(len(stands), "score", f"/v/{len(line.rows('SELECT id FROM videos'))}.mp4")
    passing = {"num_frames": 10, "score": 3.0, "other": 1.0} | values
    with line.engine.begin() as connection:
        for row_id, (stage, status, reason) in zip(ids, stands, strict=True):
            said = "said" if status == "failed" else None
            stand = {
                "stage": stage,
                "status": status,
                "reason": reason,
                "error": said,
                **passing,
                "i": row_id,
            }
            named = ", ".join(f"{c} = :{c}" for c in stand if c != "i")
            connection.execute(text(f"UPDATE clips SET {named} WHERE id = :i"), stand)
    return ids


def stands(line: Line) -> list[tuple[Any, ...]]:
    return line.rows("SELECT stage, status, reason, return_to FROM clips ORDER BY id")


def again(
    line: Line, stage: str, where: str = "", changed: Any = None, then: Sequence[str] = ()
) -> Redone:
    dataset = datasets.pick(line.engine, line.dataset.name)
    return redo(line.engine, dataset, changed or line.pipeline, stage, where, then)


def work(line: Line, stage: str, **scores: float) -> list[int]:
    """Claim rows of a stage and save these scores for each; returns the ids."""
    held = claimed(line, stage)
    save(line.engine, held, Outcomes(scores=dict.fromkeys(held.ids, scores)), writer())
    return list(held.ids)


def claimed(line: Line, stage: str, owner: str = "me", **options: Any) -> Claim:
    held = line.claim(stage, owner, **options)
    assert held is not None
    return held


# ---- which clips go back, and where to


def test_clips_that_stand_later_go_back_and_remember_where_they_stood(line: Line) -> None:
    put(
        line,
        ("done", "kept", None),
        ("third", "active", None),
        ("second", "active", None),
        ("score", "active", None),
    )
    assert again(line, "score") == Redone(back=3, kept=1)
    back = [("score", "active", None, stage) for stage in ("done", "third", "second")]
    assert stands(line) == [*back, ("score", "active", None, None)]


def test_clips_that_have_not_come_to_the_stage_stay(line: Line) -> None:
    put(line, ("score", "active", None))
    put(line, ("score", "dropped", "some"), num_frames=1)
    put(line, ("second", "dropped", "good"), score=1.0)
    before = stands(line)
    assert again(line, "second") == Redone()
    assert stands(line) == before


def test_clips_dropped_behind_the_stage_go_back_and_those_dropped_before_it_stay_dropped(
    line: Line,
) -> None:
    put(line, ("third", "dropped", "fine"), other=0.0)
    put(line, ("third", "dropped", "good"), score=1.0)
    assert again(line, "second") == Redone(back=1, dropped=1)
    assert stands(line) == [
        ("second", "active", None, "third"),
        ("second", "dropped", "good", "third"),
    ]
    looser = pipeline("some: num_frames >= 5", "score", "second", "fine: other >= 1", "third")
    assert replace_pipeline(line.engine, datasets.pick(line.engine, None), looser)["revived"] == 1
    assert stands(line)[1] == ("second", "active", None, "third"), (
        "revived, it goes through the stage first"
    )


def test_clips_that_failed_in_the_stage_are_tried_again_and_go_on_from_there(line: Line) -> None:
    put(line, ("second", "failed", "NotFinite"))
    assert again(line, "second") == Redone(back=1)
    assert line.rows("SELECT stage, status, reason, error, return_to FROM clips") == [
        ("second", "active", None, None, None)
    ]
    work(line, "second", other=1.0)
    assert stands(line) == [("third", "active", None, None)]


def test_clips_that_failed_later_go_back_too_and_are_tried_there_again(line: Line) -> None:
    put(line, ("third", "failed", "DiskFull"))
    assert again(line, "score") == Redone(back=1)
    work(line, "score", score=3.0)
    assert stands(line) == [("third", "active", None, None)]


def test_a_predicate_says_which(line: Line) -> None:
    put(line, ("done", "kept", None), score=2.0)
    put(line, ("done", "kept", None), score=9.0)
    assert again(line, "score", "score > 5") == Redone(back=1, kept=1)
    assert [s[0] for s in stands(line)] == ["done", "score"]
    with pytest.raises(FilterError, match="did you mean score"):
        again(line, "score", "scor > 5")


def test_other_datasets_stay(line: Line) -> None:
    put(line, ("done", "kept", None))
    other = datasets.create(line.engine, "other", "/w", line.pipeline)
    assert redo(line.engine, other, line.pipeline, "score") == Redone()
    assert stands(line) == [("done", "kept", None, None)]


# ---- back to where they stood


def test_a_clip_returns_to_where_it_stood_with_the_verdict_of_all_filters_before_that(
    line: Line,
) -> None:
    a, b, c = put(line, ("done", "kept", None), ("done", "kept", None), ("third", "active", None))
    again(line, "score")
    held = claimed(line, "score")
    scores: dict[int, Any] = {a: {"score": 5.0}, b: {"score": 0.0}, c: {"score": 5.0}}
    save(line.engine, held, Outcomes(scores=scores), writer())
    assert stands(line) == [
        ("done", "kept", None, None),
        ("done", "dropped", "good", None),
        ("third", "active", None, None),
    ]
    assert line.rows("SELECT score, other FROM clips WHERE id = :a", a=a) == [(5.0, 1.0)]


def test_a_clip_that_fails_in_its_redo_goes_on_after_a_retry(line: Line) -> None:
    (a,) = put(line, ("done", "kept", None))
    again(line, "score")
    save(line.engine, claimed(line, "score"), Outcomes(failed={a: ("NotFinite", "nan")}), writer())
    assert stands(line) == [("score", "failed", "NotFinite", "done")]
    assert datasets.retry(line.engine, line.dataset, line.pipeline) == 1
    work(line, "score", score=4.0)
    assert stands(line) == [("done", "kept", None, None)]


def test_a_clip_that_its_stage_drops_in_a_redo_can_be_asked_for_again(line: Line) -> None:
    (a,) = put(line, ("done", "kept", None))
    again(line, "score")
    save(
        line.engine,
        claimed(line, "score"),
        Outcomes(scores={a: {}}, dropped={a: "too_dark"}),
        writer(),
    )
    assert stands(line) == [("score", "dropped", "too_dark", "done")]
    assert again(line, "score") == Redone(back=1)
    work(line, "score", score=4.0)
    assert stands(line) == [("done", "kept", None, None)]


def test_two_redos_are_done_in_the_order_of_the_pipeline(line: Line) -> None:
    put(line, ("done", "kept", None))
    assert again(line, "third") == Redone(back=1, kept=1)
    assert again(line, "score") == Redone(back=1)
    assert again(line, "second") == Redone(back=1)
    assert again(line, "second") == Redone(), "it comes by anyway"
    assert stands(line) == [("score", "active", None, "second>third>done")]
    for stage in ("score", "second", "third"):
        assert work(line, stage)
    assert stands(line) == [("done", "kept", None, None)]


def test_a_clip_dropped_on_its_way_is_asked_for_no_more_until_it_is_revived(line: Line) -> None:
    put(line, ("done", "kept", None))
    again(line, "second")
    again(line, "score")
    work(line, "score", score=0.0)
    assert stands(line) == [("second", "dropped", "good", "done")]
    assert line.claim("second") is None


def test_a_clip_at_work_elsewhere_goes_back_when_its_batch_is_saved(line: Line) -> None:
    put(line, ("third", "active", None))
    held = claimed(line, "third")
    assert again(line, "score") == Redone(back=1, at_work=1)
    assert line.rows("SELECT stage, owner, return_to FROM clips") == [("third", "me", "score>done")]
    save(line.engine, held, Outcomes(scores={i: {} for i in held.ids}), writer())
    assert stands(line) == [("score", "active", None, "done")]
    work(line, "score", score=3.0)
    assert stands(line) == [("done", "kept", None, None)]


def test_a_clip_whose_worker_is_dead_goes_back_at_once(line: Line) -> None:
    put(line, ("third", "active", None))
    held = claimed(line, "third")
    line.expire("me")
    assert again(line, "score") == Redone(back=1)
    saved = save(line.engine, held, Outcomes(scores={i: {} for i in held.ids}), writer())
    assert saved.rows == 0
    assert stands(line) == [("score", "active", None, "third")]


# ---- routes, as arithmetic


@given(
    stage=st.integers(0, 3),
    waits=st.sets(st.integers(0, 2)),
    repeated=st.lists(st.integers(0, 2), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_repeated_stages_are_done_once_in_order_and_the_end_stays(
    stage: int, waits: set[int], repeated: list[int]
) -> None:
    last = STAGES[max(stage, *waits, 0) if waits else stage]
    todo = {STAGES[w] for w in waits if STAGES[w] != last}
    route = [*sorted(todo, key=STAGES.index), last]
    for number in repeated:
        new = route_of_free_row(STAGES, route[0], ">".join(route[1:]) or None, STAGES[number])
        passed = number < STAGES.index(last)
        assert (new is None) == (not passed or STAGES[number] in route[:-1])
        if new:
            todo.add(STAGES[number])
            route = [new[0], *new[1].split(">")]
        assert route == [*sorted(todo, key=STAGES.index), last]


@pytest.mark.parametrize(
    ("stage", "return_to", "repeated", "expected"),
    [
        ("third", None, "score", "score>done"),
        ("third", "done", "score", "score>done"),
        ("second", "third>done", "score", "score>third>done"),
        ("second", "third>done", "third", None),
        ("second", None, "second", None),
        ("second", None, "third", None),
        ("second", "score>third", "second", "score>second>third"),
    ],
)
def test_a_leased_clip_gets_its_route_for_afterwards(
    stage: str, return_to: str | None, repeated: str, expected: str | None
) -> None:
    assert route_of_leased_row(STAGES, stage, return_to, repeated) == expected


@given(
    stage=st.integers(0, 3),
    waits=st.sets(st.integers(0, 3)),
    repeated=st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
)
def test_stages_repeated_together_give_the_route_of_one_after_the_other(
    stage: int, waits: set[int], repeated: list[int]
) -> None:
    route = [STAGES[n] for n in sorted({stage, *(w for w in waits if w > stage)})]
    new = route_of_free_row(
        STAGES, route[0], ">".join(route[1:]) or None, *[STAGES[n] for n in repeated]
    )
    together = [new[0], *new[1].split(">")] if new else route
    for number in repeated:
        one = route_of_free_row(STAGES, route[0], ">".join(route[1:]) or None, STAGES[number])
        route = [one[0], *one[1].split(">")] if one else route
    assert together == route


@pytest.mark.parametrize(
    ("return_to", "expected"),
    [
        (None, "score>second>third"),
        ("done", "score>second>done"),
        ("third>done", "score>second>third>done"),
    ],
)
def test_a_clip_leased_in_the_last_of_several_stages_does_it_again(
    return_to: str | None, expected: str
) -> None:
    repeated = ("score", "second")
    assert route_of_leased_row(STAGES, "second", return_to, *repeated) == expected
    assert route_of_leased_row(STAGES, "second", expected, *repeated) is None, (
        "it will do so anyway"
    )


# ---- several stages together


def test_several_stages_are_done_by_the_clips_that_were_meant_at_first(line: Line) -> None:
    """Though the redo changes what the predicate asks for."""
    put(line, ("done", "kept", None), ("third", "active", None), ("second", "active", None))
    assert again(line, "score", "status = 'kept'", then=["third"]) == Redone(back=1, kept=1)
    assert stands(line) == [
        ("score", "active", None, "third>done"),
        ("third", "active", None, None),
        ("second", "active", None, None),
    ]
    assert again(line, "score", then=["second"]) == Redone(back=2)
    assert [row[3] for row in stands(line)] == ["second>third>done", "second>third", "second"]


def test_clips_that_failed_in_the_first_stage_go_through_the_others_too(line: Line) -> None:
    put(line, ("done", "kept", None), ("done", "kept", None))
    again(line, "score")
    held = claimed(line, "score")
    found = Outcomes(
        scores={held.ids[1]: {"score": 3.0}}, failed={held.ids[0]: ("NotFinite", "nan")}
    )
    save(line.engine, held, found, writer())
    assert stands(line)[0] == ("score", "failed", "NotFinite", "done")
    assert again(line, "score", "status = 'failed'", then=["second"]) == Redone(back=1)
    assert stands(line) == [("score", "active", None, "second>done"), ("done", "kept", None, None)]


def test_a_clip_at_work_in_the_last_of_the_stages_comes_there_again(line: Line) -> None:
    """It works on what the first one has not written yet."""
    put(line, ("second", "active", None))
    held = claimed(line, "second")
    assert again(line, "score", then=["second"]) == Redone(back=1, at_work=1)
    assert stands(line) == [("second", "active", None, "score>second>third")]
    save(line.engine, held, Outcomes(scores={i: {"other": 1.0} for i in held.ids}), writer())
    work(line, "score", score=3.0)
    assert stands(line) == [("second", "active", None, "third")]


def test_a_clip_that_waits_for_the_first_stage_gets_the_others_into_its_way(line: Line) -> None:
    put(line, ("done", "kept", None))
    again(line, "score")
    assert again(line, "score", then=["third"]) == Redone()
    assert stands(line) == [("score", "active", None, "third>done")]


# ---- other options


def with_factor(line: Line, value: int) -> Any:
    return pipeline(*STEPS[:-3], {"stage": "second", "factor": value}, *STEPS[-2:])


def test_the_options_and_the_clips_change_together(line: Line) -> None:
    put(line, ("done", "kept", None))
    assert again(line, "second", changed=with_factor(line, 3)) == Redone(back=1, kept=1)
    stage = next(s for s in datasets.pick(line.engine, None).frozen if s.get("stage") == "second")
    assert stage["factor"] == 3


def test_what_was_computed_with_the_old_options_is_not_saved(line: Line) -> None:
    put(line, ("second", "active", None))
    held = claimed(line, "second")
    assert again(line, "second", changed=with_factor(line, 3)) == Redone()
    found = Outcomes(scores={i: {"other": 7.0} for i in held.ids})
    assert save(line.engine, held, found, writer()).rows == 0
    assert line.rows("SELECT stage, status, owner, other FROM clips") == [
        ("second", "active", None, 1.0)
    ]
    assert line.rows("SELECT * FROM batches") == []


def test_what_was_computed_in_another_batch_size_is_saved(line: Line) -> None:
    put(line, ("second", "active", None))
    held = claimed(line, "second")
    smaller = pipeline(
        *STEPS[:-3], {"stage": "second", "batch_size": 2, "time_limit": 5}, *STEPS[-2:]
    )
    set_pipeline(line.engine, line.dataset, smaller)
    found = Outcomes(scores={i: {"other": 7.0} for i in held.ids})
    assert save(line.engine, held, found, writer()).rows == 1
    assert stands(line) == [("third", "active", None, None)]


def test_a_pipeline_that_someone_else_changed_meanwhile_is_not_overwritten(line: Line) -> None:
    put(line, ("done", "kept", None))
    set_pipeline(line.engine, line.dataset, with_factor(line, 3))
    with pytest.raises(UsageError, match="just now"):
        redo(line.engine, line.dataset, line.pipeline, "score")
    assert stands(line) == [("done", "kept", None, None)]


# ---- counts


def test_the_funnel_adds_up_while_clips_are_on_their_way_back(line: Line) -> None:
    put(line, ("done", "kept", None), ("third", "active", None), ("second", "active", None))
    put(line, ("done", "dropped", "good"), score=0.0)
    put(line, ("third", "dropped", "fine"), other=0.0)
    claimed(line, "third")
    again(line, "second")
    view = view_dataset(line.engine, line.dataset.id, line.pipeline)
    steps = {s.step: s for s in view.steps}
    assert (steps["second"].waiting, steps["third"].running, steps["good"].dropped) == (
        3,
        1,
        1,
    )
    assert all(s.kept >= 0 for s in steps.values())
    assert steps["third"].kept == 0
    assert all(s.total == s.waiting + s.running + s.finished for s in view.stages)
    assert (view.totals.kept, view.totals.active, view.totals.dropped) == (0, 4, 1)


# ---- all of it


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    redone=st.lists(st.sampled_from(STAGES[:-1]), min_size=1, max_size=4),
    standing=st.lists(st.sampled_from(STAGES)),
)
def test_after_any_redos_every_clip_ends_as_it_would_have(
    tmp_path_factory: pytest.TempPathFactory, redone: list[str], standing: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("redo")
    line = make_line(f"sqlite:///{folder}/x.db", folder, STEPS)
    ids = (
        put(line, *[(p, "kept" if p == "done" else "active", None) for p in standing])
        if standing
        else []
    )
    for stage in redone:
        again(line, stage)
    scores = {"score": {"score": 3.0}, "second": {"other": 2.0}, "third": {}}
    for stage in STAGES[:-1]:
        while held := line.claim(stage):
            save(
                line.engine, held, Outcomes(scores=dict.fromkeys(held.ids, scores[stage])), writer()
            )
    assert stands(line) == [("done", "kept", None, None)] * len(ids)
