"""A runner that knows the stages of texts beside those of tests.pipelines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from curate.tasks.clean_text import CleanText
from curate.tasks.load_captions import LoadCaptions
from curate.tasks.text_duplicate import TextDuplicate
from curate.tasks.text_language import TextLanguage
from curate.worker import runner as module
from tests.pipelines import CATALOG


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The runner knows them."""
    for stage in (CleanText, LoadCaptions, TextDuplicate, TextLanguage):
        monkeypatch.setitem(CATALOG, stage.name, stage)
    monkeypatch.setattr(module, "stages", lambda: CATALOG)
    monkeypatch.setattr(
        module, "_cap_memory", lambda step: None
    )  # this process runs other tests too
    module.pipeline_of.cache_clear()
    yield
    module.pipeline_of.cache_clear()
