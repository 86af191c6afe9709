"""The way of a clip that is asked for again, as arithmetic: through which stages, in which order,
to which end.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.db.redo import way_back, way_on

PLACES = ["score", "second", "third", "done"]


@given(
    stage=st.integers(0, 3),
    waits=st.sets(st.integers(0, 2)),
    redos=st.lists(st.integers(0, 2), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_asked_for_is_done_once_in_order_and_the_end_stays(
    stage: int, waits: set[int], redos: list[int]
) -> None:
    last = PLACES[max(stage, *waits, 0) if waits else stage]
    todo = {PLACES[w] for w in waits if PLACES[w] != last}
    way = [*sorted(todo, key=PLACES.index), last]
    for number in redos:
        found = way_back(PLACES, way[0], ">".join(way[1:]) or None, PLACES[number])
        passed = number < PLACES.index(last)
        assert (found is None) == (not passed or PLACES[number] in way[:-1])
        if found:
            todo.add(PLACES[number])
            way = [found[0], *found[1].split(">")]
        assert way == [*sorted(todo, key=PLACES.index), last]


@pytest.mark.parametrize(
    ("stage", "return_to", "stage_again", "expected"),
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
def test_a_clip_at_work_gets_its_way_for_afterwards(
    stage: str, return_to: str | None, stage_again: str, expected: str | None
) -> None:
    assert way_on(PLACES, stage, return_to, stage_again) == expected


@given(
    stage=st.integers(0, 3),
    waits=st.sets(st.integers(0, 3)),
    asked=st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
)
def test_stages_asked_for_together_give_the_way_of_one_after_the_other(
    stage: int, waits: set[int], asked: list[int]
) -> None:
    way = [PLACES[n] for n in sorted({stage, *(w for w in waits if w > stage)})]
    found = way_back(PLACES, way[0], ">".join(way[1:]) or None, *[PLACES[n] for n in asked])
    together = [found[0], *found[1].split(">")] if found else way
    for number in asked:
        one = way_back(PLACES, way[0], ">".join(way[1:]) or None, PLACES[number])
        way = [one[0], *one[1].split(">")] if one else way
    assert together == way


@pytest.mark.parametrize(
    ("return_to", "expected"),
    [
        (None, "score>second>third"),
        ("done", "score>second>done"),
        ("third>done", "score>second>third>done"),
    ],
)
def test_a_clip_at_work_in_the_last_of_several_stages_does_it_again(
    return_to: str | None, expected: str
) -> None:
    asked = ("score", "second")
    assert way_on(PLACES, "second", return_to, *asked) == expected
    assert way_on(PLACES, "second", expected, *asked) is None, "it will do so anyway"
