"""Votes on captions: who was preferred, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.db.caption_pairs import pairs
from curate.db.votes import Vote, VoteCounts, count_votes, save_votes, votes_on
from tests.db.test_caption_pairs import asked, captioned


def test_a_later_vote_takes_the_place_of_the_same_voters_earlier_one(
    database_url: str, home: Path
) -> None:
    line = captioned(database_url, home)
    first, second = pairs(line.engine, asked(line))
    ((of_window,),) = line.rows(
        f"SELECT id FROM captions WHERE clip_id = {first.clip} AND model = 'one'"
        " AND window_start_pts = 0"
    )
    votes: list[Any] = [
        Vote(first.clip, first.a.id, first.b.id, "left"),
        Vote(second.clip, second.b.id, second.a.id, "left"),
        Vote(first.clip, first.a.id, 999, "left"),
        Vote(second.clip, first.a.id, first.b.id, "left"),
        Vote(first.clip, of_window, first.b.id, "left"),
    ]
    assert save_votes(line.engine, line.dataset.id, "ann", votes) == 2
    assert count_votes(line.engine, line.dataset.id) == {("one", "two"): VoteCounts(a=1, b=1)}
    again = [Vote(first.clip, first.b.id, first.a.id, "equal")]
    assert save_votes(line.engine, line.dataset.id, "ann", again) == 1
    assert save_votes(line.engine, line.dataset.id, "ben", votes[:1]) == 1
    assert votes_on(line.engine, line.dataset.id, "one", "two") == VoteCounts(1, 1, equal=1)
    assert votes_on(line.engine, line.dataset.id, "two", "one") == VoteCounts(1, 1, equal=1)


def test_a_vote_between_captions_of_one_captioner_is_none(database_url: str, home: Path) -> None:
    line = captioned(database_url, home)
    newest = list(pairs(line.engine, asked(line)))[0].a  # noqa: RUF015  to its end
    (older,) = line.rows(f"SELECT min(id) FROM captions WHERE model = 'one' AND id <> {newest.id}")
    votes = [
        Vote(1, newest.id, newest.id, "left"),
        Vote(1, newest.id, int(str(older[0])), "right"),
    ]
    assert save_votes(line.engine, line.dataset.id, "ann", votes) == 0


def test_the_interval_is_wilsons() -> None:
    low, high = VoteCounts(a=8, b=2).interval or (0.0, 0.0)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert VoteCounts(equal=3).interval is None


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_the_share_and_is_mirrored(a: int, b: int) -> None:
    counts, mirrored = VoteCounts(a, b), VoteCounts(b, a)
    if counts.share is None or counts.interval is None or mirrored.interval is None:
        assert a + b == 0
        return
    low, high = counts.interval
    assert 0 <= low <= counts.share <= high <= 1
    assert mirrored.interval == pytest.approx((1 - high, 1 - low), abs=1e-12)
