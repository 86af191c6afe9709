"""What is made of a statement: percentiles for Postgres, the tables of one dataset."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.errors import SqlRefused
from curate.db import migrate
from curate.db.engine import make_engine, writing
from curate.db.readonly.login import ensure_reader
from curate.db.readonly.query import Scope, run_query
from curate.db.readonly.rewriting import of_dataset, with_percentiles

HALF = "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"


@pytest.mark.parametrize(
    ("statement", "rewritten"),
    [
        ("SELECT 1 -- median(x)", "SELECT 1 -- median(x)"),
        ("SELECT median FROM t", "SELECT median FROM t"),
        ("SELECT 'median(x)', \"median\"(x)", "SELECT 'median(x)', \"median\"(x)"),
        ("SELECT  median( x )  FROM t", f"SELECT  {HALF}  FROM t"),
        (
            "SELECT quantile(f(a, b), 1 - 0.1)",
            "SELECT percentile_cont(1 - 0.1) WITHIN GROUP (ORDER BY f(a, b))",
        ),
        ("SELECT median((SELECT median(x)))", f"SELECT {HALF.replace('x', f'(SELECT {HALF})')}"),
        ("SELECT quantile(x)", "SELECT quantile(x)"),  # the server says what is wrong
    ],
)
def test_percentiles(statement: str, rewritten: str) -> None:
    assert with_percentiles(statement) == rewritten


@pytest.fixture
def two(database_url: str) -> str:
    """Two datasets: 1 with two clips of flow 1, 2 with one of flow 5."""
    engine = make_engine(database_url)
    migrate.ensure(engine)
    with writing(engine) as connection:
        for statement in (
            "ALTER TABLE clips ADD COLUMN flow FLOAT",
            "INSERT INTO datasets (id, name, root, pipeline, created_at) VALUES "
            "(1, 'pets', '/p', '[]', 0), (2, 'cars', '/c', '[]', 0)",
            "INSERT INTO videos (id, dataset_id, path, relpath, clip_stem, fingerprint, stage, "
            "status) VALUES (1, 1, '/p/a', 'a', 'a', '1', 'done', 'kept'), "
            "(2, 2, '/c/b', 'b', 'b', '1', 'done', 'kept')",
            "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, stage, "
            "status, flow) VALUES (1, 1, 1, 0, 0, 1, 'done', 'kept', 1), "
            "(2, 1, 1, 1, 0, 1, 'done', 'kept', 1), (3, 2, 2, 0, 0, 1, 'done', 'kept', 5)",
            "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at) VALUES "
            "(1, 'm', '', '', 'one', 0), (3, 'm', '', '', 'three', 0)",
        ):
            connection.execute(text(statement))
        assert engine.dialect.name == "sqlite" or ensure_reader(connection) == ""
    return database_url


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT count(*) FROM clips", [[1]]),
        ("SELECT count(*) FROM Clips AS c", [[1]]),
        ("-- a remark\nSELECT id FROM clips ORDER BY id DESC", [[3]]),
        ("WITH a AS (SELECT * FROM clips) SELECT max(flow) FROM a", [[5.0]]),
        (
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) "
            "SELECT count(*) FROM n JOIN clips ON true",
            [[3]],
        ),
        ("SELECT dataset, source FROM clips_view", [["cars", "/c/b"]]),
        ("SELECT name FROM datasets", [["cars"]]),
        ("SELECT path FROM videos", [["/c/b"]]),
        ("SELECT text_raw FROM captions", [["three"]]),
        ("SELECT c.text_raw FROM captions c JOIN clips k ON k.id = c.clip_id", [["three"]]),
        ("SELECT 1", [[1]]),
        ("VALUES (1)", [[1]]),
        ("SELECT a.id FROM clips a JOIN clips b ON a.id = b.id", [[3]]),
    ],
)
def test_a_statement_sees_one_dataset(two: str, statement: str, rows: list[list[object]]) -> None:
    schema = "main" if two.startswith("sqlite") else "public"
    assert run_query(two, statement, 60, scope=Scope(2, schema)).rows == rows


def test_without_a_scope_it_sees_all(two: str) -> None:
    found = run_query(two, "SELECT dataset, count(*) FROM clips_view GROUP BY 1 ORDER BY 1", 60)
    assert found.rows == [["cars", 1], ["pets", 2]]


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM main.clips", "WITH clips AS (SELECT 1) SELECT * FROM clips"],
)
def test_what_goes_past_the_scope_is_refused(statement: str) -> None:
    with pytest.raises(SqlRefused, match="with --dataset"):
        of_dataset(statement, "sqlite", ("main", "main"), 1)
