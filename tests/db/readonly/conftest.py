"""A database of each engine, filled and open to a reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.db.readonly.filled import fill
from tests.servers import Postgres


@pytest.fixture(scope="module")
def sqlite_filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('db with space')}/my %41#.db"
    fill(url)
    return url


@pytest.fixture(scope="module")
def postgres_filled(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        fill(url)
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_filled"))
