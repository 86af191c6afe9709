"""Which caption becomes the text of a clip, and how captions are written again."""

from __future__ import annotations

from typing import Any

import pytest

from curate.tasks.text.captions import Source, choose_caption, rewritten


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


def test_a_caption_is_rewritten_under_its_id_or_else_its_model() -> None:
    saved = rewritten({"id": 7, "model": "one", "text": None}, text="a dog")
    assert (saved.where, saved.rows) == ({"id": 7}, [{"model": "one", "text": "a dog"}])
    new = rewritten({"model": "input", "text": "a dog"})
    assert (new.where, new.rows) == ({"model": "input"}, [{"text": "a dog"}])
