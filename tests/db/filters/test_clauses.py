"""A predicate's thresholds are found where they stand, and moved without changing anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.db.filters.clauses import number_text, read_clauses
from curate.db.filters.sql import to_sql


@pytest.mark.parametrize(
    ("where", "movable", "others"),
    [
        ("black <= 0.3", [("black", "<=", 0.3)], []),
        ("0.3 >= black", [("black", "<=", 0.3)], []),
        ("0.3 < black", [("black", ">", 0.3)], []),
        ("flow >= .5 AND static < 5.", [("flow", ">=", 0.5), ("static", "<", 5.0)], []),
        ("(a > 1 and (b > 2)) and c > 3", [("a", ">", 1), ("b", ">", 2), ("c", ">", 3)], []),
        ("x BETWEEN -1 AND 2e-3", [("x", ">=", -1), ("x", "<=", 0.002)], []),
        ("(x) >= (1)", [("x", ">=", 1)], []),
        ("x >= - 1", [("x", ">=", -1)], []),
        ('FLOW >= 1 AND "flow" < 2', [("flow", ">=", 1), ("flow", "<", 2)], []),
        ("duplicate = 0", [], ["duplicate = 0"]),
        ("a >= 1 OR b >= 2", [], ["a >= 1 OR b >= 2"]),
        ("NOT a >= 1", [], ["NOT a >= 1"]),
        ("x NOT BETWEEN 1 AND 2", [], ["NOT x BETWEEN 1 AND 2"]),
        ("x BETWEEN 1 AND y", [], ["x BETWEEN 1 AND y"]),
        ("x + 1 >= 2", [], ["x + 1 >= 2"]),
        ("x >= -(1)", [], ["x >= -(1)"]),
        ("codec >= 'h' AND x > 1", [("x", ">", 1)], ["codec >= 'h'"]),
        ("x IN (1, 2) AND y > 3 AND NOT z < 4", [("y", ">", 3)], ["x IN (1, 2)", "NOT z < 4"]),
    ],
)
def test_clauses_are_movable_or_others(
    where: str, movable: list[tuple[str, str, float]], others: list[str]
) -> None:
    clauses = read_clauses(where)
    assert [(c.column, c.op, c.number) for c in clauses.movable] == movable
    assert clauses.texts == others


@pytest.mark.parametrize(
    ("where", "numbers", "moved"),
    [
        ("black<=0.3  AND\n 7 > x", {0: 0.25}, "black<=0.25  AND\n 7 > x"),
        ("black<=0.3  AND\n 7 > x", {1: -2.0, 0: 1.0}, "black<=1  AND\n -2 > x"),
        ("x BETWEEN -1 AND 2e-3", {0: -0.5, 1: 1e-5}, "x BETWEEN -0.5 AND 1e-05"),
        ("x >= - 1 AND y in (1, 2)", {0: 3.0}, "x >= 3 AND y in (1, 2)"),
        ("x > .5", {0: 0.125}, "x > 0.125"),
        ("x > 1", {}, "x > 1"),
    ],
)
def test_a_moved_threshold_changes_its_number_alone(
    where: str, numbers: dict[int, float], moved: str
) -> None:
    assert read_clauses(where).moved(numbers) == moved


@given(st.floats(-1e15, 1e15).filter(lambda n: n == 0 or abs(n) >= 1e-15))
def test_a_threshold_is_read_back_as_the_same_number(number: float) -> None:
    moved = read_clauses("a > 1 AND x >= 2 AND y < 3").moved({1: number})
    assert read_clauses(moved).movable[1].number == number


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e16, 1e-16])
def test_what_no_predicate_may_hold_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        number_text(number)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_rest_is_the_predicate_without_its_thresholds(dialect: str) -> None:
    rest = read_clauses("a >= 1 AND b = 2 AND (c < 3 OR d > 4)").rest_sql(dialect)
    assert rest == f"{to_sql('b = 2', dialect)} AND {to_sql('c < 3 OR d > 4', dialect)}"
    assert read_clauses("a >= 1").rest_sql(dialect) is None
