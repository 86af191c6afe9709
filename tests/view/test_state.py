"""The datasets that the pages are about."""

from __future__ import annotations

import pytest

from curate.configs.errors import NoDatasets, NoSuchDataset
from tests.view.conftest import Client, Rows


def test_without_a_name_the_dataset_that_is_shown_first(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    rows.dataset("newer")
    assert client.home.open().dataset.name == "pets"
    assert client.home.open("newer").dataset.name == "newer"


def test_what_is_not_there(rows: Rows, client: Client) -> None:
    with pytest.raises(NoDatasets):
        client.home.open()
    rows.dataset("pets")
    with pytest.raises(NoSuchDataset):
        client.home.open("petz")
