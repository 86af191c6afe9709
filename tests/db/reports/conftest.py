"""A line of work on each engine, and rows of it in any state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Iterator[Line]:
    """Stages score and inorder, with a filter behind each."""
    made = make_line(
        database_url, home, ["score", "good: score >= 1", "inorder", "new: duplicate = 0"]
    )
    yield made
    made.engine.dispose()


def put(
    line: Line,
    place: str,
    status: str,
    reason: str | None = None,
    count: int = 1,
    held: bool = False,
) -> list[int]:
    ids = line.put_clips(count, place, f"/v/{place}{status}{reason}.mp4", status)
    with line.engine.begin() as connection:
        values = {"r": reason, "l": time.time() + 60 if held else 0.0, "o": "me" if held else None}
        update = (
            "UPDATE clips SET reason = :r, error = :r, lease_until = :l, owner = :o WHERE id = :i"
        )
        for row_id in ids:
            connection.execute(text(update), {**values, "i": row_id})
    return ids
