"""The table of `rows` on each engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.db.filters.rows import filled
from tests.servers import Postgres


@pytest.fixture(scope="module")
def sqlite_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = filled(f"sqlite:///{tmp_path_factory.mktemp('db') / 'rows.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgres_rows(postgres: Postgres) -> Iterator[Engine]:
    with postgres.database() as url:
        engine = filled(url)
        yield engine
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    rows = request.getfixturevalue(f"{request.param}_rows")
    assert isinstance(rows, Engine)
    return rows
