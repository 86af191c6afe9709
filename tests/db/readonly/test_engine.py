"""An engine that can only read: whatever the statement, and not for ever."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import ServiceError
from curate.db import datasets, migrate
from curate.db.engine import make_engine, now, reading, writing
from curate.db.readonly.engine import read_only_engine, was_stopped
from curate.worker.session.database import make_reader
from tests.pipelines import pipeline

SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
    "SELECT count(*) FROM n"
)


@pytest.fixture
def filled_url(database_url: str) -> str:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    assert make_reader(engine) == ""
    datasets.create(engine, "pets", "/v", pipeline("score"))
    return database_url


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM datasets",
        "INSERT INTO datasets (name, root, pipeline, created_at) VALUES ('x', 'x', '[]', 0)",
        "DROP TABLE clips",
        "CREATE TABLE t (a int)",
    ],
)
def test_it_cannot_write(statement: str, filled_url: str) -> None:
    engine = read_only_engine(filled_url, 10)
    with pytest.raises(ServiceError) as error, writing(engine) as connection:
        connection.execute(text(statement))
    assert not was_stopped(error.value)
    assert [d.name for d in datasets.all_datasets(engine)] == ["pets"]


def test_it_reads_what_others_write_meanwhile(filled_url: str) -> None:
    engine = read_only_engine(filled_url, 10)
    assert len(datasets.all_datasets(engine)) == 1
    datasets.create(make_engine(filled_url), "more", "/v", pipeline("score"))
    assert len(datasets.all_datasets(engine)) == 2


def test_what_takes_too_long_is_stopped(filled_url: str) -> None:
    engine = read_only_engine(filled_url, 0.3)
    with pytest.raises(ServiceError) as error, reading(engine) as connection:
        connection.execute(text(SLOW)).all()
    assert was_stopped(error.value)
    assert len(datasets.all_datasets(engine)) == 1, "the next statement has its own time"


def test_it_has_the_clock_of_the_rows(filled_url: str) -> None:
    with reading(read_only_engine(filled_url, 10)) as connection:
        assert now(connection) == pytest.approx(time.time(), abs=60)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    with pytest.raises(ServiceError), reading(read_only_engine(f"sqlite:///{path}", 1)):
        pass
    assert not path.exists()


def test_a_name_with_signs_of_urls(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20d.db"
    sqlite3.connect(path).close()
    path.touch()
    from sqlalchemy import URL

    url = URL.create("sqlite", database=str(path)).render_as_string()
    with reading(read_only_engine(url, 1)) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
