"""A predicate as clauses joined by AND: those whose threshold can be moved, and the others.

A clause can be moved when it compares one column with one number by < <= > or >=; BETWEEN is two of
them. Its number is replaced in the text of the predicate, so everything else stays as it was
written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import sqlglot
from sqlglot import TokenType, exp

from curate.db.filters import grammar
from curate.db.filters.grammar import Node
from curate.db.filters.sql import LARGEST, SMALLEST, column_name, tree_to_sql

Op = Literal["<", "<=", ">", ">="]

_OPS: dict[type[exp.Expression], tuple[Op, Op]] = {  # as written, and with the sides exchanged
    exp.LT: ("<", ">"),
    exp.LTE: ("<=", ">="),
    exp.GT: (">", "<"),
    exp.GTE: (">=", "<="),
}


@dataclass(frozen=True)
class Clause:
    """`column op number`; the number stands at [start, end) of the predicate's text."""

    column: str
    op: Op
    number: float
    start: int
    end: int


@dataclass(frozen=True)
class Clauses:
    """The clauses of a predicate: it is true where all of them are."""

    where: str
    movable: tuple[Clause, ...]
    others: tuple[Node, ...]

    @cached_property
    def texts(self) -> list[str]:
        """The clauses that cannot be moved, as text."""
        return [str(node.sql("postgres")) for node in self.others]

    def rest_sql(self, dialect: str) -> str | None:
        """SQL that is true where all clauses that cannot be moved are; None when there are none."""
        return " AND ".join(tree_to_sql(node, dialect) for node in self.others) or None

    def moved(self, numbers: Mapping[int, float]) -> str:
        """The predicate with other numbers, by their index in `movable`. Raises ValueError for a
        number that no predicate may hold.
        """
        text = self.where
        for n in sorted(numbers, key=lambda n: -self.movable[n].start):
            clause = self.movable[n]
            text = text[: clause.start] + number_text(numbers[n]) + text[clause.end :]
        return text


def number_text(number: float) -> str:
    """The shortest text that a predicate reads back as this number. Raises ValueError where there
    is none: not finite, too large, too small.
    """
    size = abs(number)
    if not math.isfinite(number) or size > LARGEST or 0 < size < SMALLEST:
        raise ValueError(f"a threshold is 0 or from {SMALLEST:g} to {LARGEST:g}, not {number!r}")
    return str(int(number)) if number == int(number) else repr(number)


def read_clauses(where: str) -> Clauses:
    """The clauses of a predicate. Raises PredicateError."""
    tree = grammar.read(where)
    numbers_at = _numbers(where, tree)
    movable: list[Clause] = []
    others: list[Node] = []
    for node in _conjuncts(tree):
        found = _thresholds(node, numbers_at)
        movable += found
        others += [] if found else [node]
    return Clauses(where, tuple(movable), tuple(others))


def _bare(node: Node) -> Node:
    while type(node) is exp.Paren:
        node = node.this
    return node


def _conjuncts(node: Node) -> Iterator[Node]:
    node = _bare(node)
    operands = grammar.chain(node, (exp.And,))
    if len(operands) == 1:
        yield node
        return
    for operand in operands:
        yield from _conjuncts(operand)


@dataclass(frozen=True)
class _Number:
    """Where a number stands in a predicate: its digits, and the minus before them."""

    start: int
    end: int
    minus: int


def _numbers(where: str, tree: Node) -> dict[int, _Number]:
    """Where each number of a predicate stands, by the id of its node; empty if that is unclear."""
    numbers_at: list[_Number] = []
    start = minus = 0
    for token in sqlglot.tokenize(where, read="postgres"):
        if token.token_type is TokenType.DASH:
            minus = token.start
        elif token.token_type is TokenType.NUMBER:
            dotted = where[: token.start].endswith(".")  # .5 is two tokens
            start = token.start - 1 if dotted else token.start
            numbers_at.append(_Number(start, token.end + 1, minus))
    literals = [n for n in tree.dfs() if isinstance(n, exp.Literal) and not n.is_string]
    texts = [where[n.start : n.end] for n in numbers_at]
    if [float(text) for text in texts] != [float(node.this) for node in literals]:
        return {}
    return dict(zip(map(id, literals), numbers_at, strict=True))


def _thresholds(node: Node, numbers_at: Mapping[int, _Number]) -> list[Clause]:
    """The movable clauses that a clause is: one, two for BETWEEN, or none."""
    comparisons: list[tuple[Node, Op, Node]] = []
    if isinstance(node, exp.Between):
        comparisons = [(node.this, ">=", node.args["low"]), (node.this, "<=", node.args["high"])]
    elif type(node) in _OPS:
        as_written, exchanged = _OPS[type(node)]
        if type(_bare(node.this)) is exp.Column:
            comparisons = [(node.this, as_written, node.expression)]
        else:
            comparisons = [(node.expression, exchanged, node.this)]
    clauses: list[Clause] = []
    for column, op, number in comparisons:
        column, number = _bare(column), _bare(number)
        at = numbers_at.get(id(grammar.unsigned(number)))
        if type(column) is not exp.Column or at is None:
            return []
        if isinstance(number, exp.Neg):
            value, start = -float(number.this.this), at.minus
        else:
            value, start = float(number.this), at.start
        clauses.append(Clause(column_name(column.this), op, value, start, at.end))
    return clauses
