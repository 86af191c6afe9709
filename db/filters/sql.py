"""Writes a predicate as the SQL that runs, per engine; see `curate.db.filters.grammar` for what it
means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlglot import exp

from curate.configs.schema import Column
from curate.db.filters import grammar as predicates
from curate.db.filters.grammar import TOO_DEEP, Node, PredicateError, chain, shown

Dialect = Literal["sqlite", "postgresql"]
TermKind = Literal[
    "number", "text", "truth", "any"
]  # any: a column, when the columns are not given

# a product of so many factors within these bounds stays in the range of a double: Postgres raises
# beyond it
_MAX_FACTORS = 8
_LARGEST, _SMALLEST = 1e15, 1e-15
_MAX_DEPTH = (
    12  # the parser of SQLite has a stack of 100 places; some 14 levels overflow it at worst
)


@dataclass(frozen=True)
class _Term:
    kind: TermKind
    sql: str
    evident: bool = True  # its kind can be seen without knowing the columns
    real: bool = False  # a real number already


def write(predicate: str, dialect: Dialect, columns: Mapping[str, Column] | None) -> str:
    """The SQL that runs for a predicate. Without columns their names and kinds are not checked.

    Raises PredicateError with the reason.
    """
    try:
        sql = _Writer(dialect, columns).truth(predicates.read(predicate))
    except RecursionError:
        raise PredicateError(TOO_DEEP) from None
    if dialect == "sqlite" and predicates.depth(sql) > _MAX_DEPTH:
        raise PredicateError(TOO_DEEP)
    return sql


@lru_cache(maxsize=512)
def written(predicate: str, dialect: Dialect) -> str:
    """`write` for a predicate that was checked before, remembered."""
    return write(predicate, dialect, None)


_COMPARISONS: dict[type[Any], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: dict[type[Any], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_NEGATABLE = (exp.Is, exp.Like, exp.ILike, exp.In, exp.Between)
_EXTREMES: dict[type[Any], str] = {
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.Least: "MIN",
    exp.Greatest: "MAX",
}
# arguments of nodes that change nothing: what sqlglot remembers of the dialect read
_MEANINGLESS = {"typed", "safe", "is_string", "ignore_nulls", "negate"}


class _Writer:
    def __init__(self, dialect: Dialect, columns: Mapping[str, Column] | None) -> None:
        self.sqlite = dialect == "sqlite"
        self.columns = columns
        self.factors = 0

    def truth(self, node: Node) -> str:
        """SQL of a node that must be true or false."""
        term = self.term(node)
        if term.kind != "truth":
            raise PredicateError(f"{shown(node)} is not a condition; compare it with something")
        return term.sql

    def value(self, node: Node) -> _Term:
        """A node that must be a number or a text."""
        term = self.term(node)
        if isinstance(node, exp.Null):
            raise PredicateError("NULL is only for IS NULL and IS NOT NULL")
        if term.kind == "truth":
            raise PredicateError(f"{shown(node)} is true or false, where a value is needed")
        return term

    def number(self, node: Node) -> str:
        """SQL of a node that must be a number, as a real number."""
        term = self.value(node)
        if term.kind == "text":
            raise PredicateError(f"{shown(node)} is text, where a number is needed")
        return (
            term.sql
            if term.real
            else f"CAST({term.sql} AS {'REAL' if self.sqlite else 'DOUBLE PRECISION'})"
        )

    def text(self, node: Node) -> str:
        """SQL of a node that must be text."""
        term = self.value(node)
        if term.kind == "number":
            raise PredicateError(f"{shown(node)} is a number, where text is needed")
        return term.sql

    def bytewise(self, sql: str) -> str:
        """SQL of a text that is compared and changed by its bytes."""
        return sql if self.sqlite else f'({sql} COLLATE "C")'

    def term(self, node: Node) -> _Term:
        """SQL of any node, whole: in parentheses, a function, a column or a literal."""
        while type(node) is exp.Paren:
            node = node.this
        method = _METHODS.get(type(node))
        if method is None:
            raise PredicateError(predicates.why_not(node))
        extra = (
            {k for k, v in node.args.items() if v}
            - _MEANINGLESS
            - {"this", "expression", "expressions"}
        )
        extra -= {"low", "high"} if isinstance(node, exp.Between) else set()
        if extra:
            raise PredicateError(predicates.why_not(node, sorted(extra)[0]))
        term = method(self, node)
        if isinstance(node, _NEGATABLE) and node.args.get("negate"):
            return _Term("truth", f"(NOT {term.sql})")
        return term

    def connector(self, node: Node) -> _Term:
        word = " AND " if isinstance(node, exp.And) else " OR "
        operands = [self.truth(n) for n in chain(node, (type(node),))]
        return _Term("truth", f"({word.join(operands)})")

    def negation(self, node: Node) -> _Term:
        return _Term("truth", f"(NOT {self.truth(node.this)})")

    def comparison(self, node: Node) -> _Term:
        left, right = self.same_kind(node.this, node.expression)
        sign = _COMPARISONS[type(node)]
        if sign not in ("=", "<>"):
            left = self.ordered(node, left, right)
        return _Term("truth", f"({left.sql} {sign} {right.sql})")

    def same_kind(self, *nodes: Node) -> list[_Term]:
        """The terms, which must all be numbers or all be text."""
        terms = [self.value(n) for n in nodes]
        kinds = {t.kind for t in terms} - {"any"}
        if len(kinds) > 1:
            text = next(n for n, t in zip(nodes, terms, strict=True) if t.kind == "text")
            number = next(n for n, t in zip(nodes, terms, strict=True) if t.kind == "number")
            raise PredicateError(f"{shown(text)} is text and {shown(number)} is a number")
        return terms

    def ordered(self, node: Node, first: _Term, *others: _Term) -> _Term:
        """`first`, made to be compared by bytes when the terms are text."""
        texts = [t for t in (first, *others) if t.kind == "text"]
        if not texts:
            return first
        if not any(t.evident for t in texts):
            raise PredicateError(
                f"in {shown(node)} two text columns are ordered; compare them with = or <>"
            )
        return _Term("text", self.bytewise(first.sql))

    def between(self, node: Node) -> _Term:
        value, low, high = self.same_kind(node.this, node.args["low"], node.args["high"])
        value = self.ordered(node, value, low, high)
        return _Term("truth", f"({value.sql} BETWEEN {low.sql} AND {high.sql})")

    def membership(self, node: Node) -> _Term:
        items = node.expressions
        if not items or not all(isinstance(predicates.unsigned(i), exp.Literal) for i in items):
            raise PredicateError("IN needs a list of numbers or texts, such as IN (1, 2)")
        value, *found = self.same_kind(node.this, *items)
        return _Term("truth", f"({value.sql} IN ({', '.join(f.sql for f in found)}))")

    def is_null(self, node: Node) -> _Term:
        if not isinstance(node.expression, exp.Null):
            raise PredicateError("IS is only for IS NULL and IS NOT NULL")
        return _Term("truth", f"({self.value(node.this).sql} IS NULL)")

    def like(self, node: Node) -> _Term:
        pattern = node.expression
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            raise PredicateError("LIKE needs a pattern in quotes")
        value, wanted = self.text(node.this), pattern.this
        if isinstance(node, exp.ILike):
            value, wanted = f"LOWER({self.bytewise(value)})", predicates.lower_ascii(wanted)
        if self.sqlite:  # its LIKE ignores case
            return _Term("truth", f"({value} GLOB {self.quoted(predicates.glob(wanted))})")
        return _Term("truth", f"({value} LIKE {self.quoted(wanted)} ESCAPE '')")

    def arithmetic(self, node: Node) -> _Term:
        kinds = (exp.Add, exp.Sub) if isinstance(node, exp.Add | exp.Sub) else (exp.Mul, exp.Div)
        first, *others = chain(node, kinds)
        self.factors += len(others) if kinds[0] is exp.Mul else 0
        if self.factors > _MAX_FACTORS:
            raise PredicateError(f"it multiplies and divides more than {_MAX_FACTORS} times")
        sql = self.number(first)
        for other in others:
            sign = _ARITHMETIC[type(other.parent)]
            number = self.number(other)
            sql += f" / NULLIF({number}, 0)" if sign == "/" else f" {sign} {number}"
        return _Term("number", f"({sql})", real=True)

    def minus(self, node: Node) -> _Term:
        return _Term("number", f"(- {self.number(node.this)})", real=True)

    def absolute(self, node: Node) -> _Term:
        return _Term("number", f"ABS({self.number(node.this)})", real=True)

    def length(self, node: Node) -> _Term:
        return _Term("number", f"LENGTH({self.text(node.this)})")

    def changed_case(self, node: Node) -> _Term:
        word = "LOWER" if isinstance(node, exp.Lower) else "UPPER"
        return _Term("text", f"{word}({self.bytewise(self.text(node.this))})")

    def first_of(self, node: Node) -> _Term:
        word = "COALESCE" if isinstance(node, exp.Coalesce) else "NULLIF"
        terms = self.same_kind(node.this, *(node.expressions or [node.expression]))
        kind: TermKind = next((t.kind for t in terms if t.kind != "any"), "any")
        return _Term(
            kind, f"{word}({', '.join(t.sql for t in terms)})", any(t.evident for t in terms)
        )

    def extreme(self, node: Node) -> _Term:
        nodes = [node.this, *node.expressions]
        word = _EXTREMES[type(node)]
        if len(nodes) < 2:
            raise PredicateError(
                f"{word.lower()} here takes two or more values of one row; it does not look at all rows"
            )
        # on Postgres each argument is written twice, which would double with every level
        if any(n.find(*_EXTREMES) for n in nodes):
            raise PredicateError(
                f"{word.lower()} within min or max; give one of them all the values"
            )
        numbers = [self.number(n) for n in nodes]
        if self.sqlite:
            return _Term("number", f"{word}({', '.join(numbers)})", real=True)
        there = " AND ".join(f"{n} IS NOT NULL" for n in numbers)
        word = "LEAST" if word == "MIN" else "GREATEST"  # which skip what is NULL
        return _Term(
            "number", f"(CASE WHEN {there} THEN {word}({', '.join(numbers)}) END)", real=True
        )

    def literal(self, node: Node) -> _Term:
        if node.is_string:
            return _Term("text", self.quoted(node.this))
        value = float(node.this)
        if not math.isfinite(value) or value > _LARGEST or 0 < value < _SMALLEST:
            raise PredicateError(
                f"the number {node.this} is out of range ({_SMALLEST:g} to {_LARGEST:g})"
            )
        return _Term("number", str(int(node.this)) if node.this.isdecimal() else repr(value))

    def boolean(self, node: Node) -> _Term:
        return _Term("truth", "TRUE" if node.this else "FALSE")

    def null(self, _node: Node) -> _Term:
        return _Term("any", "NULL")

    def quoted(self, value: str) -> str:
        quoted = "'" + value.replace("'", "''") + "'"
        if self.sqlite or "\\" not in value:
            return quoted
        return "E" + quoted.replace(
            "\\", "\\\\"
        )  # the same whatever standard_conforming_strings says

    def column(self, node: Node) -> _Term:
        identifier = node.this
        name = identifier.name if identifier.quoted else identifier.name.lower()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise PredicateError(f"{name!r} is not the name of a column")
        # not "name": SQLite would take it for a text when there is no such column
        sql = f"[{name}]" if self.sqlite else f'"{name}"'
        if self.columns is None:
            return _Term("any", sql, evident=False)
        if name not in self.columns:
            raise predicates.UnknownColumnError(name, self.columns)
        return _Term("text" if self.columns[name].kind == "text" else "number", sql, evident=False)


_METHODS: dict[type[Any], Callable[[_Writer, Any], _Term]] = {
    exp.And: _Writer.connector,
    exp.Or: _Writer.connector,
    exp.Not: _Writer.negation,
    exp.Between: _Writer.between,
    exp.In: _Writer.membership,
    exp.Is: _Writer.is_null,
    exp.Like: _Writer.like,
    exp.ILike: _Writer.like,
    exp.Neg: _Writer.minus,
    exp.Abs: _Writer.absolute,
    exp.Length: _Writer.length,
    exp.Lower: _Writer.changed_case,
    exp.Upper: _Writer.changed_case,
    exp.Coalesce: _Writer.first_of,
    exp.Nullif: _Writer.first_of,
    exp.Literal: _Writer.literal,
    exp.Boolean: _Writer.boolean,
    exp.Null: _Writer.null,
    exp.Column: _Writer.column,
    **dict.fromkeys(_COMPARISONS, _Writer.comparison),
    **dict.fromkeys(_ARITHMETIC, _Writer.arithmetic),
    **dict.fromkeys(_EXTREMES, _Writer.extreme),
}
