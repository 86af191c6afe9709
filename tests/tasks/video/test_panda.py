"""The rules of Panda-70M, by features made by hand: places on a line, whose distance is plain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.panda import (
    PUBLISHED,
    PandaRules,
    Shot,
    feature_frames,
    stitch_shots,
)

FPS = 10.0


def shot(start: int, end: int, first: float | None, last: float | None) -> Shot:
    places = (None if place is None else np.array([place, 0.0]) for place in (first, last))
    return Shot(start, end, *places)


def spans(*shots: Shot, rules: PandaRules | None = None) -> list[tuple[int, int]]:
    return [(event.start, event.end) for event in stitch_shots(shots, FPS, rules)]


def test_features_are_of_frames_at_5_and_95_percent() -> None:
    assert feature_frames(0, 101) == (5, 95)
    assert feature_frames(200, 230) == (201, 227)
    assert feature_frames(7, 8) == (6, 6), (
        "in floats 0.95 * 7 + 0.05 * 7 is below 7, as in their code"
    )


def test_shots_join_up_to_the_distance_of_the_rule() -> None:
    assert spans(shot(0, 30, -0.3, 0), shot(30, 60, 0.6, 0.8)) == [(0, 60)]  # near enough
    assert spans(shot(0, 30, -0.3, 0), shot(30, 60, 0.61, 0.8)) == [(0, 30), (30, 60)]


def test_the_end_of_the_event_decides_not_its_beginning() -> None:
    chain = [shot(30 * n, 30 * n + 30, 0.5 * n, 0.5 * n + 0.2) for n in range(4)]
    assert spans(*chain) == [(0, 120)]


def test_a_shot_joins_only_where_the_event_ends() -> None:
    assert spans(shot(0, 30, 0, 0.2), shot(31, 60, 0.2, 0.4)) == [(0, 30), (31, 60)]


def test_transitions_and_unreadable_shots_are_dropped_first_and_part_their_neighbours() -> None:
    around = shot(0, 30, 0, 0.2), shot(60, 90, 0.2, 0.4)
    for between in (shot(30, 60, 0, 1.01), shot(30, 60, None, 0.2), shot(30, 60, 0.2, None)):
        assert spans(around[0], between, around[1]) == [(0, 30), (60, 90)]
    assert spans(around[0], shot(30, 60, -0.8, 0.2), around[1]) == [(0, 30), (30, 90)]  # 1.0 stays


def test_short_and_still_events_are_dropped_after_joining() -> None:
    assert spans(shot(0, 10, 0, 0.2), shot(10, 20, 0.2, 0.4)) == [(0, 20)]  # 2 seconds, joined
    assert spans(shot(0, 19, 0, 0.2)) == []
    assert spans(shot(0, 30, 0, 0.15)) == [(0, 30)]
    assert spans(shot(0, 30, 0, 0.14)) == []
    assert spans(shot(0, 30, 0, 0.1), shot(30, 60, 0.1, 0.2)) == [(0, 60)]


def test_a_repeated_event_is_dropped_when_the_rule_is_on() -> None:
    shots = shot(0, 30, 0, 0.4), shot(40, 70, 0.1, 0.5), shot(80, 110, 0.7, 1.1)
    assert spans(*shots) == [(0, 30), (40, 70), (80, 110)]
    assert spans(*shots, rules=PandaRules(redundant=0.3)) == [(0, 30), (80, 110)]
    # what repeats an event that was dropped itself stays
    short = shot(0, 10, 0, 0.4), shot(40, 70, 0.1, 0.5)
    assert spans(*short, rules=PandaRules(redundant=0.3)) == [(40, 70)]


def test_the_mean_is_of_the_features_of_all_shots() -> None:
    (event,) = stitch_shots([shot(0, 30, 0, 0.4), shot(30, 60, 0.6, 1.0)], FPS)
    assert event.feature == pytest.approx([0.5, 0])


def test_length_is_capped_before_the_ends_are_trimmed() -> None:
    long = shot(100, 1100, 0, 0.5)
    assert spans(long, rules=PandaRules(longest=60)) == [(100, 700)]
    assert spans(long, rules=PUBLISHED) == [(160, 640)]


def test_when_every_shot_is_rejected_there_is_no_event() -> None:
    assert spans() == spans(shot(0, 30, 0, 5), shot(30, 60, None, None)) == []


places = st.floats(-1, 1)
lengths = st.integers(1, 80)


@given(st.lists(st.tuples(lengths, places, places, st.booleans()), max_size=15))
def test_events_are_in_order_apart_and_made_of_whole_shots(
    parts: list[tuple[int, float, float, bool]],
) -> None:
    shots, at = [], 0
    for length, first, last, gap in parts:
        at += gap
        shots.append(shot(at, at + length, first, last))
        at += length
    found = spans(*shots)
    assert found == sorted(found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    assert {s for s, _ in found} <= {s.start for s in shots}
    assert {e for _, e in found} <= {s.end for s in shots}
    assert all(end - start >= 2 * FPS for start, end in found)
