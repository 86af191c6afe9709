"""The database and its datasets, as commands open them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from curate.configs.errors import NoDatasets, UsageError
from curate.worker.session.database import has_database, make_database, open_database, open_dataset
from curate.worker.session.home import HomeSession
from tests.cli.conftest import Filled


def test_a_database_is_made_only_when_it_is_asked_for(home: Path) -> None:
    session = HomeSession(home=home)
    with pytest.raises(NoDatasets):
        open_database(session)
    assert not has_database(session.settings)
    assert not home.exists()
    make_database(session).dispose()
    assert has_database(session.settings)


def test_a_dataset_comes_with_its_pipeline(filled: Filled) -> None:
    opened = open_dataset(HomeSession(), None)
    assert (opened.name, opened.stage_names[:2]) == ("pets", ["probe", "split"])
    with pytest.raises(UsageError, match="cats"):
        open_dataset(HomeSession(), "cats")


def test_a_column_that_a_stage_got_since_then_is_there(filled: Filled) -> None:
    engine = open_dataset(HomeSession(), None).engine
    with engine.begin() as connection:
        for view in inspect(connection).get_view_names():
            connection.execute(text(f"DROP VIEW {view}"))
        connection.execute(text("ALTER TABLE clips DROP COLUMN path"))
    opened = open_dataset(HomeSession(), None)
    assert "path" in {c["name"] for c in inspect(opened.engine).get_columns("clips")}
