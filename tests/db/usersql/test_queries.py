"""`curate sql`: queries answer, and what is not one SELECT is refused, on both engines."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from curate.configs.errors import ServiceError, SqlFailed, SqlRefused
from curate.db.readonly.query import Result, check_statement, run_query


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
            "SELECT CASE WHEN avg(flow) > 0.4 THEN 1 ELSE 2 END FROM clips GROUP BY codec HAVING count(*) > 1",
            1,
        ),
        ("SELECT ':x' || '$1'", ":x$1"),
        ("SELECT 'DROP TABLE clips; --'", "DROP TABLE clips; --"),
        (
            "SELECT x.flow FROM clips AS x JOIN clips AS y ON x.id = y.id WHERE x.id IN (SELECT id FROM clips)",
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


# ---- the first fence: what the statement is


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("", "it is empty"),
        (" ; ", "it is empty"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("SELECT 1; DROP TABLE clips", "holds 2 statements"),
        ("DROP TABLE clips", "not a query but DROP"),
        ("DELETE FROM clips", "not a query but DELETE"),
        ("UPDATE clips SET flow = 1", "not a query but UPDATE"),
        ("INSERT INTO clips VALUES (1)", "not a query but INSERT"),
        ("CREATE TABLE x (a INT)", "not a query but CREATE"),
        ("CREATE TABLE x AS SELECT * FROM clips", "not a query but CREATE"),
        ("ALTER TABLE clips ADD COLUMN x INT", "not a query but ALTER"),
        ("ATTACH 'x.db' AS x", "not a query but ATTACH"),
        ("PRAGMA writable_schema = ON", "not a query but PRAGMA"),
        ("VACUUM", "not a query but VACUUM"),
        ("EXPLAIN SELECT 1", "not a query but EXPLAIN"),
        ("BEGIN", "not a query but BEGIN"),
        ("COMMIT", "not a query but COMMIT"),
        ("SET x = 1", "not a query but SET"),
        ("COPY clips TO PROGRAM 'x'", "refused"),
        ("DO $$ BEGIN END $$", "refused"),
        ("SELEC 1", "refused"),
        ("SELECT 'x", "not closed"),
        ("SELECT * INTO x FROM clips", "INTO makes a table"),
        ("WITH a AS (DELETE FROM clips RETURNING *) SELECT * FROM a", "DELETE in it"),
        ("WITH a AS (SELECT 1) DELETE FROM clips", "not a query but DELETE"),
        ("SELECT 1\x00", "a character"),
        ("SELECT '\ud800'", "a character"),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "nested too deeply"),
        ("-- a comment\nDROP TABLE clips", "not a query but DROP"),
        ("(SELECT 1); VACUUM", "holds 2 statements"),
        ("SELECT 1 " * 3000, "at most 20000"),
    ],
)
def test_what_is_not_one_select_is_refused(statement: str, why: str, dialect: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check_statement(statement, dialect)
    assert why in str(caught.value)


def test_locking_rows_is_refused() -> None:
    with pytest.raises(SqlRefused, match="lock rows"):
        check_statement("SELECT * FROM clips FOR UPDATE", "postgres")
