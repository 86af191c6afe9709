"""The clips that look like a text: what is refused before any weights are loaded."""

from __future__ import annotations

import pytest

from curate.configs.errors import NoEmbeddings
from curate.worker.session.database import open_dataset
from curate.worker.session.home import HomeSession
from curate.worker.session.search import look_alikes
from tests.cli.conftest import Filled


def test_a_dataset_that_embeds_nothing_is_told(filled: Filled) -> None:
    """What is found is tested where the command is: tests/cli/test_search.py."""
    session = HomeSession()
    with pytest.raises(NoEmbeddings):
        look_alikes(session, open_dataset(session, "pets"), "a dog", 3)
