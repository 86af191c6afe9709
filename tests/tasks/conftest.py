"""A runner that knows the stages of texts beside those of tests.pipelines."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from curate.tasks.clean_text import CleanText
from curate.tasks.concept import Concept
from curate.tasks.load_captions import LoadCaptions
from curate.tasks.semantic_dedup import SemanticDedup
from curate.tasks.text_checks import TextChecks
from curate.tasks.text_duplicate import TextDuplicate
from curate.tasks.text_language import TextLanguage
from tests.pipelines import CATALOG
from tests.worker.conftest import catalog, tests_stages

__all__ = ["catalog", "tests_stages", "text_stages"]


@pytest.fixture
def text_stages(catalog: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner knows the stages of texts."""
    for stage in (CleanText, LoadCaptions, TextChecks, TextDuplicate, TextLanguage):
        monkeypatch.setitem(CATALOG, stage.name, stage)


@pytest.fixture
def concept_stages(catalog: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner knows the stages that go by concepts."""
    for stage in (Concept, SemanticDedup):
        monkeypatch.setitem(CATALOG, stage.name, stage)


@pytest.fixture
def hide_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a package be missing, for whoever looks for it."""
    real = importlib.util.find_spec

    def hide(package: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == package else real(name)
        )

    return hide
