"""Which statements may show a path."""

from __future__ import annotations

import pytest

from curate.db.shown_paths import may_show_paths


@pytest.mark.parametrize(
    ("statement", "may"),
    [
        ("SELECT count(id) FROM clips", False),
        ("SELECT PATH FROM clips", True),
        ("SELECT * FROM clips", True),
        ("SELECT relpath FROM videos", False),
    ],
)
def test_views_are_made_for_statements_that_may_show_a_path(statement: str, may: bool) -> None:
    assert may_show_paths(statement) == may
