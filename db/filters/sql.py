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
from curate.db.filters import grammar
from curate.db.filters.grammar import TOO_DEEP, Node, PredicateError, chain, formatted
from curate.db.home import shown_sql

Dialect = Literal["sqlite", "postgresql"]
# any: a column, when the columns are not given
TermKind = Literal["number", "text", "truth", "any"]

# a product of so many factors within these bounds stays in the range of a double, beyond which
# Postgres raises
_MAX_FACTORS = 8
LARGEST, SMALLEST = 1e15, 1e-15
# the parser of SQLite has a stack of 100 symbols; some 14 levels overflow it at worst
_MAX_DEPTH = 12


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
        sql = _PredicateWriter(dialect, columns).truth(grammar.read(predicate))
    except RecursionError:
        raise PredicateError(TOO_DEEP) from None
    if dialect == "sqlite" and grammar.depth(sql) > _MAX_DEPTH:
        raise PredicateError(TOO_DEEP)
    return sql


@lru_cache(maxsize=512)
def to_sql(where: str, dialect: str) -> str:
    """The SQL that runs for a predicate that was checked: for the engine `sqlite` or `postgresql`.

    It names columns without a table. It holds `%` as it is, so give it to `literal_column`, not to
    the driver.
    """
    return write(where, "sqlite" if dialect == "sqlite" else "postgresql", None)


def tree_to_sql(node: Node, dialect: str) -> str:
    """As `to_sql`, of a condition in the tree of a predicate that was checked."""
    return _PredicateWriter("sqlite" if dialect == "sqlite" else "postgresql", None).truth(node)


def columns_in(where: str) -> set[str]:
    """The names of the columns that a predicate looks at. Raises PredicateError."""
    return {column_name(node.this) for node in grammar.read(where).find_all(exp.Column)}


def column_name(identifier: Node) -> str:
    """The name that an identifier stands for: in lower case unless it is quoted."""
    return str(identifier.name if identifier.quoted else identifier.name.lower())


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


class _PredicateWriter:
    def __init__(self, dialect: Dialect, columns: Mapping[str, Column] | None) -> None:
        self.sqlite = dialect == "sqlite"
        self.columns = columns
        self.factors = 0

    def truth(self, node: Node) -> str:
        """SQL of a node that must be true or false."""
        term = self.term(node)
        if term.kind != "truth":
            raise PredicateError(f"{formatted(node)} is not a condition; compare it with something")
        return term.sql

    def value(self, node: Node) -> _Term:
        """A node that must be a number or a text."""
        term = self.term(node)
        if isinstance(node, exp.Null):
            raise PredicateError("NULL is only for IS NULL and IS NOT NULL")
        if term.kind == "truth":
            raise PredicateError(f"{formatted(node)} is true or false, where a value is needed")
        return term

    def number(self, node: Node) -> str:
        """SQL of a node that must be a number, as a real number."""
        term = self.value(node)
        if term.kind == "text":
            raise PredicateError(f"{formatted(node)} is text, where a number is needed")
        return (
            term.sql
            if term.real
            else f"CAST({term.sql} AS {'REAL' if self.sqlite else 'DOUBLE PRECISION'})"
        )

    def text(self, node: Node) -> str:
        """SQL of a node that must be text."""
        term = self.value(node)
        if term.kind == "number":
            raise PredicateError(f"{formatted(node)} is a number, where text is needed")
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
            raise PredicateError(grammar.why_not(node))
        extra = (
            {k for k, v in node.args.items() if v}
            - _MEANINGLESS
            - {"this", "expression", "expressions"}
        )
        extra -= {"low", "high"} if isinstance(node, exp.Between) else set()
        if extra:
            raise PredicateError(grammar.why_not(node, sorted(extra)[0]))
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
            raise PredicateError(f"{formatted(text)} is text and {formatted(number)} is a number")
        return terms

    def ordered(self, node: Node, first: _Term, *others: _Term) -> _Term:
        """`first`, made to be compared by bytes when the terms are text."""
        texts = [t for t in (first, *others) if t.kind == "text"]
        if not texts:
            return first
        if not any(t.evident for t in texts):
            raise PredicateError(
                f"in {formatted(node)} two text columns are ordered; compare them with = or <>"
            )
        return _Term("text", self.bytewise(first.sql))

    def between(self, node: Node) -> _Term:
        value, low, high = self.same_kind(node.this, node.args["low"], node.args["high"])
        value = self.ordered(node, value, low, high)
        return _Term("truth", f"({value.sql} BETWEEN {low.sql} AND {high.sql})")

    def membership(self, node: Node) -> _Term:
        items = node.expressions
        if not items or not all(isinstance(grammar.unsigned(i), exp.Literal) for i in items):
            raise PredicateError("IN needs a list of numbers or texts, such as IN (1, 2)")
        value, *terms = self.same_kind(node.this, *items)
        return _Term("truth", f"({value.sql} IN ({', '.join(t.sql for t in terms)}))")

    def is_null(self, node: Node) -> _Term:
        if not isinstance(node.expression, exp.Null):
            raise PredicateError("IS is only for IS NULL and IS NOT NULL")
        return _Term("truth", f"({self.value(node.this).sql} IS NULL)")

    def like(self, node: Node) -> _Term:
        pattern = node.expression
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            raise PredicateError("LIKE needs a pattern in quotes")
        value, like = self.text(node.this), pattern.this
        if isinstance(node, exp.ILike):
            value, like = f"LOWER({self.bytewise(value)})", grammar.lower_ascii(like)
        if self.sqlite:  # its LIKE ignores case
            return _Term("truth", f"({value} GLOB {self.quoted(grammar.glob(like))})")
        return _Term("truth", f"({value} LIKE {self.quoted(like)} ESCAPE '')")

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
                f"{word.lower()} here takes two or more values of one row; "
                "it does not look at all rows"
            )
        # on Postgres each argument is written twice, which would double with every level
        if any(n.find(*_EXTREMES) for n in nodes):
            raise PredicateError(
                f"{word.lower()} within min or max; give one of them all the values"
            )
        numbers = [self.number(n) for n in nodes]
        if self.sqlite:
            return _Term("number", f"{word}({', '.join(numbers)})", real=True)
        measured = " AND ".join(f"{n} IS NOT NULL" for n in numbers)
        word = "LEAST" if word == "MIN" else "GREATEST"  # which skip what is NULL
        return _Term(
            "number", f"(CASE WHEN {measured} THEN {word}({', '.join(numbers)}) END)", real=True
        )

    def literal(self, node: Node) -> _Term:
        if node.is_string:
            return _Term("text", self.quoted(node.this))
        value = float(node.this)
        if not math.isfinite(value) or value > LARGEST or 0 < value < SMALLEST:
            raise PredicateError(
                f"the number {node.this} is out of range ({SMALLEST:g} to {LARGEST:g})"
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
        name = column_name(node.this)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise PredicateError(f"{name!r} is not the name of a column")
        # not "name": SQLite would take it for a text when there is no such column
        sql = f"[{name}]" if self.sqlite else f'"{name}"'
        sql = shown_sql(sql, self.sqlite) if name == "path" else sql
        if self.columns is None:
            return _Term("any", sql, evident=False)
        if name not in self.columns:
            raise grammar.UnknownColumnError(name, self.columns)
        return _Term("text" if self.columns[name].kind == "text" else "number", sql, evident=False)


_METHODS: dict[type[Any], Callable[[_PredicateWriter, Any], _Term]] = {
    exp.And: _PredicateWriter.connector,
    exp.Or: _PredicateWriter.connector,
    exp.Not: _PredicateWriter.negation,
    exp.Between: _PredicateWriter.between,
    exp.In: _PredicateWriter.membership,
    exp.Is: _PredicateWriter.is_null,
    exp.Like: _PredicateWriter.like,
    exp.ILike: _PredicateWriter.like,
    exp.Neg: _PredicateWriter.minus,
    exp.Abs: _PredicateWriter.absolute,
    exp.Length: _PredicateWriter.length,
    exp.Lower: _PredicateWriter.changed_case,
    exp.Upper: _PredicateWriter.changed_case,
    exp.Coalesce: _PredicateWriter.first_of,
    exp.Nullif: _PredicateWriter.first_of,
    exp.Literal: _PredicateWriter.literal,
    exp.Boolean: _PredicateWriter.boolean,
    exp.Null: _PredicateWriter.null,
    exp.Column: _PredicateWriter.column,
    **dict.fromkeys(_COMPARISONS, _PredicateWriter.comparison),
    **dict.fromkeys(_ARITHMETIC, _PredicateWriter.arithmetic),
    **dict.fromkeys(_EXTREMES, _PredicateWriter.extreme),
}
