"""median and quantile: of the same values the same on both engines."""

from __future__ import annotations

import pytest

from curate.configs.errors import SqlFailed
from curate.db.readonly.query import run_query

VALUES = "(SELECT 1.0 AS x UNION ALL SELECT 2.0 UNION ALL SELECT 4.0 UNION ALL SELECT {}) AS v"


@pytest.mark.parametrize(
    ("call", "fourth", "value"),
    [
        ("median(x)", "8.0", 3.0),
        ("median(x)", "NULL", 2.0),
        ("quantile(x, 0)", "8.0", 1.0),
        ("quantile(x, 1)", "8.0", 8.0),
        ("quantile(x, 0.9)", "8.0", 6.8),
        ("quantile(x, 0.5) FILTER (WHERE x > 1.5)", "8.0", 4.0),
        ("MEDIAN ( x + 1 )", "8.0", 4.0),
        ("round(median(abs(x)), 1)", "8.0", 3.0),
        ("median(x) - quantile(x, (0.1 + 0.4))", "8.0", 0.0),
        ("median(x + (SELECT median(median) FROM (SELECT 5.0 AS median) AS a))", "8.0", 8.0),
    ],
)
def test_a_quantile(url: str, call: str, fourth: str, value: float) -> None:
    call = call.replace("round(median(abs(x)), 1)", "round(CAST(median(abs(x)) AS NUMERIC), 1)")
    rows = run_query(url, f"SELECT {call} FROM {VALUES.format(fourth)}", 60).rows
    assert rows == [[pytest.approx(value)]]


def test_of_nothing_it_is_null(url: str) -> None:
    assert run_query(url, "SELECT median(flow) FROM clips WHERE id < 0", 60).rows == [[None]]


def test_one_a_group(url: str) -> None:
    query = "SELECT id % 2 AS odd, median(id), quantile(id, 0.25) FROM clips GROUP BY 1 ORDER BY 1"
    assert run_query(url, query, 60).rows == [[0, 16.0, 9.0], [1, 15.0, 8.0]]


@pytest.mark.parametrize("call", ["quantile(flow, 2)", "quantile(flow, -1)", "median(codec)"])
def test_what_is_no_share_or_no_number_is_an_error(url: str, call: str) -> None:
    with pytest.raises(SqlFailed):
        run_query(url, f"SELECT {call} FROM clips", 60)
