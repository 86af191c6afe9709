"""The view clips_view: each clip with its dataset's name and the path of its video."""

from __future__ import annotations

from sqlalchemy import text

from curate.configs.schema import Column
from curate.db import migrate
from curate.db.datasets import add_columns
from curate.db.engine import make_engine, reading, writing
from curate.db.views import CLIPS_VIEW, make_views


def _columns(url: str) -> list[str]:
    with reading(make_engine(url)) as connection:
        return list(connection.execute(text(f"SELECT * FROM {CLIPS_VIEW}")).keys())


def test_the_view_has_the_columns_of_clips_and_two_more(database_url: str) -> None:
    migrate.ensure(make_engine(database_url))
    assert _columns(database_url)[:4] == ["dataset", "source", "id", "dataset_id"]


def test_a_score_column_joins_the_view(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    assert add_columns(engine, {"shine": Column("float", "how it shines")}) == ["shine"]
    assert _columns(database_url)[-1] == "shine"


def test_a_score_column_of_the_same_name_stays_out(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    before = _columns(database_url)
    add_columns(engine, {"source": Column("text", "where it is from")})
    assert _columns(database_url) == before


def test_a_database_without_the_view_gets_it_by_an_upgrade(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    with writing(engine) as connection:
        connection.execute(text(f"DROP VIEW {CLIPS_VIEW}"))
    migrate.upgrade(engine)
    with writing(engine) as connection:
        make_views(connection)  # again, which does no harm
    assert "dataset" in _columns(database_url)
