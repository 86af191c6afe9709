"""Which caption becomes the text of a clip, and how captions are written again."""

from __future__ import annotations

from typing import Any

import pytest

from curate.tasks.text.captions import Source, choose_caption, rewritten, with_best


def caption(model: str, text: str | None, match: float | None = None) -> dict[str, Any]:
    return {"model": model, "text": text, "match": match}


@pytest.mark.parametrize(
    ("source", "text"),
    [("first", "a dog"), ("last", "a cat"), ("longest", "a dog runs"), ("match", "a dog runs")],
)
def test_the_source_says_which_caption_is_chosen(source: Source, text: str) -> None:
    captions = [
        caption("input", "what came with the input"),
        caption("one", "a dog"),
        caption("two", "a dog runs", 0.3),
        caption("three", "a cat", 0.2),
        caption("four", None, 0.9),
    ]
    chosen = choose_caption(captions, source)
    assert chosen is not None
    assert chosen["text"] == text


def test_without_a_text_none_is_chosen() -> None:
    assert choose_caption([caption("one", None)], "first") is None


def test_a_caption_is_rewritten_under_its_id_or_else_who_wrote_it() -> None:
    saved = rewritten({"id": 7, "model": "one", "text": None}, text="a dog")
    assert (saved.where, saved.rows) == ({"id": 7}, [{"model": "one", "text": "a dog"}])
    key = {"model": "input", "revision": "", "prompt": "", "window_start_pts": None}
    new = rewritten({**key, "text": "a dog"})
    assert (new.where, new.rows) == (key, [{"text": "a dog"}])


def window(start: int, match: float | None, **values: Any) -> dict[str, Any]:
    same = {"revision": "", "prompt": "", "summary": "best", "text_raw": f"Raw {start}"}
    stamps = {"id": start, "window_start_pts": start, "window_end_pts": start + 1}
    return {**caption("one", f"text {start}", match), **same, **stamps, **values}


def test_the_best_window_speaks_for_the_clip_and_windows_do_not() -> None:
    windows = [window(0, 0.1), window(1, 0.3), window(2, None), window(3, 0.3)]
    assert choose_caption(windows, "longest") is None
    found = with_best(windows)
    assert found[:4] == windows
    best = dict(found[4])
    assert best.pop("created_at") > 0
    assert best.pop("fields") == {}
    nothing = dict.fromkeys(("tokens", "seconds", "window_start_pts", "window_end_pts"))
    told = {"text_raw": "Raw 1", "text": "text 1", "match": 0.3, "summary": "best"}
    assert best == {"model": "one", "revision": "", "prompt": "", **told, **nothing}
    assert choose_caption(found, "first") is found[4]


def test_the_best_window_is_chosen_anew_when_another_one_matches_better() -> None:
    whole = window(9, 0.3, window_start_pts=None, window_end_pts=None, text_raw="Raw 1")
    rows = [window(0, 0.1), window(1, 0.3), whole]
    assert with_best(rows) == rows
    found = with_best([window(0, 0.4), *rows[1:]])
    assert [row["text_raw"] for row in found] == ["Raw 0", "Raw 1", "Raw 0"]
    assert "id" not in found[2]
    assert with_best([window(0, None), window(1, None)])[2:] == []
    assert with_best([{**row, "summary": None} for row in rows[:2]])[2:] == []
