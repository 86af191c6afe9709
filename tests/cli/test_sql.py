"""sql: answers in three forms, and what is refused."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Call, Filled


def test_sql_answers_in_three_forms(curate: Call, filled: Filled) -> None:
    query = "SELECT status, count(*) AS n FROM clips GROUP BY 1 ORDER BY 1"
    assert curate("sql", query, "--json").json[0] == {"status": "active", "n": 2}
    assert curate("sql", query, "--csv").out.splitlines()[:2] == ["status,n", "active,2"]
    assert curate("sql", query).out.splitlines()[0].split() == ["status", "n"]


def test_sql_shows_two_columns_of_the_same_name(curate: Call, filled: Filled) -> None:
    assert curate("sql", "SELECT 1 AS a, 2 AS a").out.split() == ["a", "a", "1", "2"]


def test_sql_says_when_there_is_more(curate: Call, filled: Filled) -> None:
    result = curate("sql", "SELECT id FROM clips", "--max-rows", "2", "--csv")
    assert (len(result.out.splitlines()), "--max-rows" in result.err) == (3, True)


@pytest.mark.parametrize(
    ("statement", "says"),
    [("DELETE FROM clips", "DELETE"), ("SELECT flw FROM clips", "did you mean flow")],
)
def test_sql_refuses(curate: Call, filled: Filled, statement: str, says: str) -> None:
    result = curate("sql", statement)
    assert (result.code, says in result.err, result.out) == (3, True, "")


def test_sql_without_a_statement_lists_tables(curate: Call, filled: Filled) -> None:
    found = {t["table"]: t for t in curate("sql", "--json").json}
    assert (found["clips"]["rows"], found["clips"]["columns"]["flow"]) == (7, "float")
    assert "videos" in curate("sql").out
