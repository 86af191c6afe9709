"""The database and its datasets, as commands open them."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.cli.shared.database import (
    has_database,
    known_stage,
    make_database,
    open_database,
    open_dataset,
)
from curate.cli.shared.session import Session
from curate.configs.errors import NoDatasets, UsageError
from tests.cli.conftest import Filled


def test_a_database_is_made_only_when_it_is_asked_for(home: Path) -> None:
    session = Session(home=home)
    with pytest.raises(NoDatasets):
        open_database(session)
    assert not has_database(session.settings)
    assert not home.exists()
    make_database(session).dispose()
    assert has_database(session.settings)


def test_a_dataset_comes_with_its_pipeline(filled: Filled) -> None:
    opened = open_dataset(Session(), None)
    assert (opened.name, opened.stage_names[:2]) == ("pets", ["probe", "split"])
    with pytest.raises(UsageError, match="cats"):
        open_dataset(Session(), "cats")


def test_a_stage_of_another_pipeline_is_refused(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    assert known_stage(opened, "cut") == "cut"
    assert known_stage(opened, None) is None
    with pytest.raises(UsageError, match="--stage lpips: dataset pets has the stages probe, split"):
        known_stage(opened, "lpips")
