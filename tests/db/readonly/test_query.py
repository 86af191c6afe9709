"""`curate sql`: queries answer on both engines."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from curate.configs.errors import ServiceError, SqlFailed
from curate.db import migrate
from curate.db.engine import make_engine, writing
from curate.db.readonly.login import ensure_reader
from curate.db.readonly.query import Result, run_query


def test_values_of_all_types_come_back(url: str) -> None:
    found = run_query(
        url, "SELECT id, flow, codec, vector, NULL AS none FROM clips ORDER BY id LIMIT 1", 10
    )
    assert found == Result(
        ["id", "flow", "codec", "vector", "none"], [[1, 0.5, "é%", b"\x00\xff", None]], False
    )


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("SELECT count(*) FROM clips", 30),
        ("SELECT count(*) FROM clips WHERE codec LIKE '%\\%' ESCAPE '\\'", 30),
        ("SELECT 1;", 1),
        ("SELECT 1 -- the end", 1),
        ("VALUES (1)", 1),
        ("WITH a AS (SELECT 1 AS x) SELECT x FROM a", 1),
        ("SELECT 1 UNION ALL SELECT 1 ORDER BY 1", 1),
        ("SELECT row_number() OVER (ORDER BY id) FROM clips", 1),
        (
            "SELECT CASE WHEN avg(flow) > 0.4 THEN 1 ELSE 2 END FROM clips GROUP BY codec HAVING "
            "count(*) > 1",
            1,
        ),
        ("SELECT ':x' || '$1'", ":x$1"),
        ("SELECT 'DROP TABLE clips; --'", "DROP TABLE clips; --"),
        (
            "SELECT x.flow FROM clips AS x JOIN clips AS y ON x.id = y.id WHERE x.id IN (SELECT "
            "id FROM clips)",
            0.5,
        ),
    ],
)
def test_queries_answer(statement: str, value: object, url: str) -> None:
    assert run_query(url, statement, 10).rows[0][0] == value


def test_postgres_types_without_a_counterpart_are_text_or_numbers(postgres_filled: str) -> None:
    found = run_query(
        postgres_filled,
        "SELECT 1.5::numeric, DATE '2020-01-02', ARRAY[1, 2], '{\"a\": 1}'::jsonb, 'NaN'::float",
        10,
    )
    assert found.rows[0][:4] == [1.5, "2020-01-02", [1, 2], {"a": 1}]


def test_equal_column_names_are_kept(url: str) -> None:
    assert run_query(url, "SELECT 1 AS a, 2 AS a", 10).columns == ["a", "a"]


@pytest.mark.parametrize(
    ("max_rows", "truncated"), [(0, True), (29, True), (30, False), (31, False), (None, False)]
)
def test_rows_are_counted(max_rows: int | None, truncated: bool, url: str) -> None:
    found = run_query(url, "SELECT id FROM clips ORDER BY id", 10, max_rows)
    assert found.truncated is truncated
    assert found.rows == [[i + 1] for i in range(30 if max_rows is None else min(max_rows, 30))]


def test_more_rows_than_are_fetched_at_once(url: str) -> None:
    joined = "SELECT x.id * 30 + y.id FROM clips AS x, clips AS y ORDER BY 1"
    assert [r[0] for r in run_query(url, joined, 10).rows] == list(range(31, 931))


def test_no_rows_still_have_columns(url: str) -> None:
    assert run_query(url, "SELECT id FROM clips WHERE flow > 1", 10) == Result(["id"], [], False)


@pytest.mark.parametrize(
    ("statement", "near"),
    [
        ("SELECT flwo FROM clips", "flow"),
        ("SELECT c.codecs FROM clips AS c", "codec"),
        ("SELECT 1 FROM clip", "clips"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_right_one(
    statement: str, near: str, url: str
) -> None:
    with pytest.raises(SqlFailed, match=rf"did you mean {near}\?"):
        run_query(url, statement, 10)


def test_sqlite_that_is_being_written_to_can_be_queried(sqlite_filled: str) -> None:
    """A run goes on while its owner looks at it."""
    writer = sqlite3.connect(create_engine(sqlite_filled).url.database or "", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert run_query(sqlite_filled, "SELECT count(*) FROM clips", 10).rows == [[30]]
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize(
    "broken", ["sqlite:///{}/none.db", "sqlite://", "nonsense", "postgresql://u:hush@127.0.0.1:1/x"]
)
def test_no_database_is_a_service_error_without_the_password(broken: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        run_query(broken.format(tmp_path), "SELECT 1", 10)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("nothing of the kind" * 100)
    with pytest.raises(ServiceError, match="not a database"):
        run_query(f"sqlite:///{tmp_path / 'x.db'}", "SELECT 1 FROM x", 10)


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT clip_id FROM clips", r"\(in clips it is id\)"),
        ("SELECT floww, wdth FROM clips", r"\(did you mean flow\?\)"),
        ("SELECT zzz FROM clips", r"zzz(\" does not exist)?\. List"),
    ],
)
def test_the_very_name_that_was_typed_is_not_suggested(statement: str, hint: str, url: str) -> None:
    with pytest.raises(SqlFailed, match=hint):
        run_query(url, statement, 10)


def test_a_column_of_another_table_is_told(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate.ensure(engine)
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            assert ensure_reader(connection) == ""
    with pytest.raises(SqlFailed, match=r"it is a column of .*captions, embeddings, option_scores"):
        run_query(database_url, "SELECT clip_id FROM videos", 10)
    with pytest.raises(SqlFailed, match="in datasets it is id"):
        run_query(database_url, "SELECT dataset_id FROM datasets", 10)


def test_lists_in_json_are_tables_too(url: str) -> None:
    """Each engine has functions for it that stand in FROM."""
    calls = (
        ["json_each('[1, 2]')", "json_tree('[1, 2]')"]
        if url.startswith("sqlite")
        else ["jsonb_array_elements('[1, 2]')", "unnest(ARRAY[1, 2])", "generate_series(1, 2)"]
    )
    for call in calls:
        found = run_query(url, f"SELECT count(*) FROM clips, {call} AS j WHERE clips.id = 1", 10)
        assert found.rows[0][0] in (2, 3)  # json_tree has the list itself as well
    if url.startswith("sqlite"):
        of_column = "SELECT j.value FROM clips, json_each('[' || clips.id || ']') AS j LIMIT 1"
        assert run_query(url, of_column, 10).rows == [[1]]


def test_what_is_not_a_finite_number_comes_back(url: str) -> None:
    infinity = "9e999" if url.startswith("sqlite") else "'Infinity'::float"
    assert run_query(url, f"SELECT {infinity}", 10).rows == [[float("inf")]]


def test_sums_of_integers_are_integers(postgres_filled: str) -> None:
    found = run_query(postgres_filled, "SELECT sum(id::bigint), 1e400::numeric FROM clips", 10)
    assert found.rows[0][0] == 465
    assert isinstance(found.rows[0][0], int)


def test_json_that_looks_like_bytes_stays_json(postgres_filled: str) -> None:
    found = run_query(postgres_filled, 'SELECT \'{"base64": "!"}\'::jsonb', 10)
    assert found.rows == [[{"base64": "!"}]]
