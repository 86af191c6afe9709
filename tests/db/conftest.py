"""A line of work on each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """probe, split, score with a filter behind each clip stage."""
    return make_line(
        database_url, home, ["some: num_frames >= 5", "score", "good: score >= 2", "inorder"]
    )
