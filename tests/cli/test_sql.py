"""sql: answers in three forms, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curate.db import datasets
from curate.worker.session.pipelines import resolve
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


def strict(out: str) -> Any:
    """JSON as a parser reads it that takes nothing else."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(out, parse_constant=refuse)


def test_json_is_json_whatever_the_values(curate: Call, filled: Filled) -> None:
    query = "SELECT 9e999 AS huge, -9e999 AS low, x'00ff' AS blob, 1 AS a, 2 AS a, 3 AS a"
    assert strict(curate("sql", query, "--json").out) == [
        {"huge": None, "low": None, "blob": "AP8=", "a": 1, "a_2": 2, "a_3": 3}
    ]


def test_sql_of_one_dataset(curate: Call, filled: Filled) -> None:
    datasets.create(filled.engine, "cars", "/c", resolve(None, ready=False).pipeline)
    count = "SELECT count(*) AS n FROM clips"
    assert curate("sql", count, "--dataset", "pets", "--json").json == [{"n": 7}]
    assert curate("sql", count, "--dataset", "cars", "--json").json == [{"n": 0}]
    names = "SELECT DISTINCT dataset, source FROM clips_view ORDER BY 2 LIMIT 1"
    assert curate("sql", names, "--json").json == [{"dataset": "pets", "source": "/v/a.mp4"}]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["SELECT 1", "--dataset", "pest"], "did you mean pets?"),
        (["--dataset", "pets"], "--dataset goes with a statement"),
    ],
)
def test_a_dataset_that_is_wrong(curate: Call, filled: Filled, words: list[str], says: str) -> None:
    result = curate("sql", *words)
    assert (result.code, says in result.err, result.out) == (2, True, "")


def test_sql_lists_the_view(curate: Call, filled: Filled) -> None:
    found = {t["table"]: t for t in curate("sql", "--json").json}["clips_view"]
    assert (found["rows"], found["columns"]["dataset"]) == (None, "text")


def test_sql_without_rows_says_so(curate: Call, filled: Filled) -> None:
    result = curate("sql", "SELECT id FROM clips WHERE id < 0")
    assert (result.code, result.err) == (0, "no rows\n")
