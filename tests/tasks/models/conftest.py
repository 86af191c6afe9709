"""What MindSpore did in a process of its own, once for all files of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.children import found_once


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What each case of cases.py found."""
    return found_once("tests.tasks.models.cases", tmp_path_factory)
