"""Tiny models, and what MindSpore did in a process of its own, once for all of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.children import found_once


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What each case of cases.py found."""
    return found_once("tests.tasks.models.cases", tmp_path_factory)


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tiny models; not to be changed."""
    return tiny.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def nsfw(tmp_path: Path) -> Path:
    """A tiny head to be spoilt."""
    return tiny.write_nsfw(tmp_path / tiny.NSFW)
