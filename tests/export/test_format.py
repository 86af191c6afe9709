"""What formats share: keys, line breaks, JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.export.format import Item, has_line_break, json_line


def test_a_key_is_the_clips_id_and_its_ending_is_in_lower_case() -> None:
    item = Item(7, "/c/Ä b.x.MP4", 1, None, None, None, None, None, ())
    assert (item.key, item.ending) == ("000000007", ".mp4")
    assert item._replace(clip_id=12_345_678_901).key == "12345678901"


@given(st.text())
def test_a_text_without_line_breaks_is_one_line_of_every_reader(text: str) -> None:
    if not has_line_break(text):
        assert (text + "\n").splitlines() in ([text], [""]) and "\n" not in text
        assert len(text.split("\r")) == 1


@pytest.mark.parametrize("text", ["a\n", "\n", "\ra", "a\u2028b", "a\x85"])
def test_a_break_anywhere_is_one(text: str) -> None:
    assert has_line_break(text)


def test_numbers_that_json_lacks_are_null() -> None:
    line = json_line(["a", "b", "c"], [float("inf"), "猫", 0.1])
    assert json.loads(line) == {"a": None, "b": "猫", "c": 0.1} and "猫" in line
