"""Texts of rows: as databases take them, and as the input table has them."""

from __future__ import annotations

import pytest

from curate.configs.texts import input_cell, storable


@pytest.mark.parametrize(
    ("text", "stored"), [("é", "é"), ("a\ud800b", "a?b"), ("a\0b", "a\ufffdb"), ("", "")]
)
def test_what_no_database_takes_is_replaced(text: str, stored: str) -> None:
    assert storable(text) == stored


@pytest.mark.parametrize(
    ("extra", "cell"),
    [
        (None, None),
        ("{}", None),
        ('{"text": null}', None),
        ('{"text": "a"}', "a"),
        ('{"text": 1}', "1"),
    ],
)
def test_a_cell_of_the_input_table_is_text_or_none(extra: str | None, cell: str | None) -> None:
    assert input_cell(extra, "text") == cell
