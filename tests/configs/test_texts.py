"""Texts of rows: as databases take them, and as the input table has them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.configs.texts import input_cell, original_cell, safe_cell, safe_name, storable


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


FORMULAS = [
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\rx",
    "\nx",
    " =1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20a",
]


@pytest.mark.parametrize("text", [*FORMULAS, "'=1", "' =1"])
def test_a_text_that_a_spreadsheet_runs_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a cat", "a=1", "'tis", "/c/-a.mp4", "it's", "1-2", "''"])
def test_any_other_text_stays(text: str) -> None:
    assert safe_cell(text) == original_cell(text) == text


@given(st.text(alphabet="'=+-@ \t\r\na\uff1d"))
@example("'=")
@example("''=")
def test_the_apostrophe_can_be_taken_off_again(text: str) -> None:
    assert original_cell(safe_cell(text)) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pets", "pets"),
        ("my pets & co", "my-pets-co"),
        ("..", ""),
        ("a/../b", "a-..-b"),
        ("🐈", ""),
    ],
)
def test_a_name_is_safe_as_a_folder(text: str, name: str) -> None:
    assert safe_name(text) == name
