"""`curate sql`, the first fence: what is not one SELECT is refused, with a reason."""

from __future__ import annotations

import pytest

from curate.configs.errors import SqlRefused
from curate.db.readonly.statement import check_statement


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
