"""The words by which captioners begin are cut, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.text.prefix import PREFIXES, strip_prefix


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("lower", [False, True])
def test_each_prefix_is_cut_and_the_rest_gets_a_capital(prefix: str, lower: bool) -> None:
    begun = prefix.lower() if lower else prefix
    assert strip_prefix(f"{begun.strip()} a dog in the image.") == "A dog in the image."


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_text_that_is_only_a_prefix_becomes_empty(prefix: str) -> None:
    assert strip_prefix(prefix) == ""
    assert strip_prefix(f" {prefix.lower()} \n") == ""


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("The video shows the video shows a dog", "The video shows a dog"),  # one prefix only
        ("A dog.\n\nIt   runs.", "A dog. It runs."),
        ("a dog", "a dog"),  # no capital where nothing was cut
        ("The image isolated", "The image isolated"),
        ("THE VIDEO SHOWS a dog", "THE VIDEO SHOWS a dog"),  # neither as written nor in lower case
        ("", ""),
    ],
)
def test_what_else_happens(text: str, stripped: str) -> None:
    assert strip_prefix(text) == stripped


@given(st.text())
def test_nothing_raises(text: str) -> None:
    strip_prefix(text)
