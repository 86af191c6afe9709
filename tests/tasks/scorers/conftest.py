"""What the stages did in a process of its own, once for all files of this folder."""

from __future__ import annotations

import pytest

from tests.children import found_once
from tests.tasks.scorers.found import Found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of the cases found."""
    return found_once("tests.tasks.scorers.cases", tmp_path_factory)
