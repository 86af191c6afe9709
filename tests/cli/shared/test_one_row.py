"""One row as people and programs see it."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text

from curate.db.schema import caption_fields, captions, clips, option_scores
from tests.cli.conftest import Call, Filled, finish_clips, give_pipeline


def test_the_ledger_has_a_line_for_each_condition(curate: Call, filled: Filled) -> None:
    finish_clips(filled, "UPDATE clips SET duplicate = 0, black = 0.1, flow = NULL WHERE id = 1")
    assert curate("refilter", "--set", "not_black.where=black <= 0.5 AND flow > 1").code == 0
    shown = curate("show", "1").out.splitlines()
    at = next(n for n, line in enumerate(shown) if line.startswith("filter "))
    assert [line.split() for line in shown[at : at + 4]] == [
        ["filter", "verdict", "has", "passes", "where"],
        ["unique", "passes", "duplicate", "0", "duplicate", "=", "0"],
        ["not_black", "passes", "black", "0.1", "black", "<=", "0.5"],
        ["not_black", "not", "measured", "flow", "not", "measured", "flow", ">", "1"],
    ]
    assert "not_black.where=black <= 0.5 AND (flow > 1 OR flow IS NULL)" in shown[-1]


def test_a_failed_row_has_its_error_and_the_command_that_tries_again(
    curate: Call, filled: Filled
) -> None:
    shown = curate("show", "3", "--level", "video").out
    assert shown.startswith("video 3 of dataset pets: failed in probe: EmptyFile")
    assert "/v/c.mp4 is empty" in shown
    retry = "curate retry pets --stage probe --error EmptyFile"
    assert retry in shown
    found = curate("show", "3", "--level", "video", "--json").json
    assert (found["comes_back_with"], found["clips"]) == (retry, [])


def test_where_rows_stand_that_did_not_end(curate: Call, filled: Filled) -> None:
    assert "clip 7 of dataset pets: waits for motion" in curate("show", "7").out
    assert "clip 6 of dataset pets: at work in motion" in curate("show", "6").out
    assert "clip 1 of dataset pets: kept" in curate("show", "1").out
    finish_clips(filled, "UPDATE clips SET status = 'dropped', reason = 'odd' WHERE id = 1")
    result = curate("show", "1")
    assert "dropped in done: odd" in result.out
    assert "comes back" not in result.out


def test_captions_options_and_duplicates_are_shown(curate: Call, filled: Filled) -> None:
    caption = {"revision": "", "prompt": "Tell", "text_raw": "A dog.", "created_at": 1.0}
    option = {"model": "m", "revision": "", "prompt": "a {}", "option": "a cat", "score": 0.5}
    with filled.engine.begin() as connection:
        values = {**caption, "clip_id": 4, "model": "who", "match": 21.5, "text": "a dog"}
        start = select(clips.c.start_pts).where(clips.c.id == 4).scalar_subquery()
        values |= {"window_start_pts": start, "window_end_pts": start + 3, "summary": "best"}
        connection.execute(insert(captions).values(**values))
        field = {"caption_id": 1, "field": "mood", "text": "It is merry."}
        connection.execute(insert(caption_fields).values(**field))
        connection.execute(insert(option_scores).values(clip_id=4, **option))
        copy = "UPDATE clips SET duplicate = 1, duplicate_of = 1, duplicate_distance = 3"
        connection.execute(text(f"{copy} WHERE id = 4"))
    shown = curate("show", "4").out
    for part in (
        "by who, 0.00 to ",
        "summary",
        "Tell",
        "A dog.",
        "21.5",
        "a cat",
        "original",
        "field mood",
        "It is merry.",
    ):
        assert part in shown
    found = curate("show", "4", "--json").json
    assert found["captions"][0]["match"] == 21.5
    assert found["captions"][0]["fields"] == {"mood": "It is merry."}
    assert found["option_scores"][0]["option"] == "a cat"
    assert [(d["id"], d["distance"]) for d in found["duplicates"]] == [(1, 3)]


@pytest.mark.parametrize(("black", "word"), [(0.1, "undo"), (0.9, "keep")])
def test_a_clip_picked_to_drop_comes_back_by_another_pick(
    curate: Call, filled: Filled, black: float, word: str
) -> None:
    values = f"duplicate = 0, black = {black}, picked = 'drop', status = 'dropped'"
    finish_clips(filled, f"UPDATE clips SET {values}, reason = 'picked' WHERE id = 1")
    shown = curate("show", "1").out
    assert "clip 1 of dataset pets: picked to drop" in shown
    assert f"comes back with: curate pick {word} 1 --dataset pets" in shown


def test_what_a_refilter_would_change_is_counted_first(curate: Call, filled: Filled) -> None:
    finish_clips(filled, "UPDATE clips SET duplicate = 1 WHERE id = 4")
    told = curate("show", "4").err.splitlines()
    assert told == [
        "Next: curate refilter pets --set unique.enabled=false --dry-run",
        "  or: curate pick keep 4 --dataset pets",
    ]


def test_a_predicate_commands_no_terminal(curate: Call, filled: Filled) -> None:
    odd = {"filter": "odd", "where": "text = 'a\u202eb' AND num_frames > 200"}
    give_pipeline(filled, ["probe", "split", odd])
    finish_clips(filled, "UPDATE clips SET status = 'dropped', reason = 'odd', text = 'a\u202eb'")
    shown = curate("show", "1")
    assert "comes back with" in shown.out
    assert "\u202e" not in shown.out + shown.err
