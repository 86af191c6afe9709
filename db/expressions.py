"""SQL that both engines say in their own way, in a form that does not change with its values.

A statement of fixed form is made and compiled once a process, and prepared once a connection: of
the time a small batch takes, most went into writing the same statements again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    Float,
    Select,
    Text,
    bindparam,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NULLTYPE

# functions of ours in each connection (curate.db.engine)
SQLITE_CLOCK = "unix_time"
SQLITE_MD5 = "md5"


# a list of numbers as one value
IDS = JSON().with_variant(ARRAY(BigInteger()), "postgresql")


class _Among(FunctionElement[Any]):
    type = NULLTYPE  # as a Boolean it would be compared with 1 on SQLite, and no index be used
    inherit_cache = True


class _AmongFound(_Among):
    inherit_cache = True


def _parts(element: _Among, compiler: SQLCompiler, **kw: Any) -> Iterator[str]:
    return (compiler.process(clause, **kw) for clause in element.clauses)


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = _parts(element, compiler, **kw)
    return f"{column} = ANY({ids})"


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = _parts(element, compiler, **kw)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608


@compiles(_AmongFound, "postgresql")
def _in_found_array(element: _AmongFound, compiler: SQLCompiler, **kw: Any) -> str:
    column, query = _parts(element, compiler, **kw)
    return f"{column} = ANY(ARRAY{query})"


@compiles(_AmongFound, "sqlite")
def _in_query(element: _AmongFound, compiler: SQLCompiler, **kw: Any) -> str:
    column, query = _parts(element, compiler, **kw)
    return f"{column} IN {query}"


def quoted(column: str) -> str:
    """A column name as an SQL identifier. Raises ValueError for anything but letters, digits
    and _.
    """
    if not column.isidentifier() or not column.isascii():
        raise ValueError(f"not a column name: {column!r}")
    return f'"{column}"'


def among(column: ColumnElement[int], name: str = "ids") -> ColumnElement[bool]:
    """Whether a column is one of the numbers that are given when the statement is executed, as
    `name`.
    """
    return _Among(column, bindparam(name, type_=IDS))


def among_these(column: ColumnElement[int], ids: list[int]) -> ColumnElement[bool]:
    """Whether a column is one of these numbers, however many they are."""
    return _Among(column, bindparam(None, ids, type_=IDS))


def among_found(column: ColumnElement[int], query: Select[Any]) -> ColumnElement[bool]:
    """Whether a column is one of the few numbers that a query finds.

    With IN, Postgres takes a LIMIT that is not written out for a tenth of the table, and reads it
    all.
    """
    return _AmongFound(column, query.scalar_subquery())


class unix_time(FunctionElement[float]):  # noqa: N801  used as a function
    """Unix seconds by the clock that all workers share: the server's, or this host's for SQLite."""

    type = Float(53)
    inherit_cache = True


@compiles(unix_time, "postgresql")
def _of_server(_element: unix_time, _compiler: SQLCompiler, **_kw: Any) -> str:
    # stable in a statement: an index can be read by it
    return "extract(epoch from statement_timestamp())::float8"


@compiles(unix_time, "sqlite")
def _of_host(_element: unix_time, _compiler: SQLCompiler, **_kw: Any) -> str:
    return f"{SQLITE_CLOCK}()"


class _RandomOrder(FunctionElement[str]):
    type = Text()
    inherit_cache = True


def random_order(seed: str, key: ColumnElement[str]) -> ColumnElement[str]:
    """32 hexadecimal digits that depend on the seed and the key alone: the same on both engines,
    and compared by their bytes.
    """
    return _RandomOrder(literal(seed) + key)


@compiles(_RandomOrder, "postgresql")
def _by_md5(element: _RandomOrder, compiler: SQLCompiler, **kw: Any) -> str:
    return f'md5({compiler.process(element.clauses, **kw)}) COLLATE "C"'


@compiles(_RandomOrder, "sqlite")
def _by_md5_of_ours(element: _RandomOrder, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{SQLITE_MD5}({compiler.process(element.clauses, **kw)})"
