"""A shelf with clips of every kind of caption."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.shelf import CAPTIONS, Shelf, make_shelf


@pytest.fixture
def shelf(home: Path, tmp_path: Path) -> Shelf:
    """Dataset `pets`: seven clips of a.mp4, with CAPTIONS, and two of b.mp4."""
    made = make_shelf(home, tmp_path / "clips")
    made.dataset("pets")
    made.put("a.mp4", CAPTIONS)
    made.put("b.mp4", ["two cats", "three cats"])
    return made
