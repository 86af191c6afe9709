"""What a browser would show of a fragment."""

from __future__ import annotations

import pytest

from curate.tasks.text.html_text import html_text


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("a <b class='x > y'>dog</b>", "a dog"),
        ("one<!-- no --> two<script>let a = 1 < 2</script>", "one two"),
        ("it's <i>Tom's</i> dog", "it's Tom's dog"),
        ("1 < 2 &amp; 3 &lt; 4", "1 < 2 & 3 < 4"),
        ("no mark at all", "no mark at all"),
    ],
)
def test_tags_go_and_entities_become_characters(fragment: str, text: str) -> None:
    assert html_text(fragment) == text
