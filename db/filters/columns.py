"""The columns that predicates, --columns and --sort name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Float, Integer, Table, Text, collate, column

from curate.configs.errors import UsageError
from curate.configs.names import did_you_mean
from curate.configs.schema import Column, ColumnKind
from curate.db.home import HomePath

_KINDS: tuple[tuple[type, ColumnKind], ...] = (
    (Integer, "int"),
    (Float, "float"),
    (Text, "text"),
    (HomePath, "text"),
)
_SORT_KEY = re.compile(r"\s*(\w+)(?:\s+(asc|desc))?\s*", re.IGNORECASE | re.ASCII)


def columns_of(table: Table) -> dict[str, Column]:
    """The columns of a table that a predicate can be about, with their kinds."""
    kinds = {
        c.name: next((k for t, k in _KINDS if isinstance(c.type, t)), None) for c in table.columns
    }
    return {name: Column(kind, f"a column of {table.name}") for name, kind in kinds.items() if kind}


def unknown(name: str, known: Iterable[str]) -> str:
    """Says that there is no column `name`, and which of the known ones come nearest."""
    names = sorted(known)
    near = did_you_mean(name, names)
    return f"there is no column {name}{near or '; the columns here are ' + ', '.join(names)}"


def check_columns(names: Sequence[str], columns: Mapping[str, Column]) -> list[str]:
    """The names, stripped. Raises UsageError for one that is not there or comes twice."""
    stripped = [name.strip() for name in names]
    for name in stripped:
        _check_name("--columns", name, columns)
    if len(set(stripped)) < len(stripped):
        twice = next(n for n in stripped if stripped.count(n) > 1)
        raise UsageError(what=f"--columns: {twice} is there twice")
    return stripped


def _check_name(option: str, name: str, columns: Mapping[str, Column]) -> None:
    if name not in columns:
        raise UsageError(what=f"{option}: {unknown(name, columns)}")


def check_sort(
    sort: str, columns: Mapping[str, Column]
) -> list[tuple[str, Literal["asc", "desc"]]]:
    """The keys of a text such as ``aes desc, path``. Raises UsageError for a column that is not
    there.
    """
    keys: list[tuple[str, Literal["asc", "desc"]]] = []
    for part in sort.split(","):
        key = _SORT_KEY.fullmatch(part)
        if not key:
            raise UsageError(
                what="--sort: write COLUMN or COLUMN desc, separated by commas, "
                f"not {part.strip()!r}"
            )
        name, direction = key[1], (key[2] or "").lower()
        _check_name("--sort", name, columns)
        keys.append((name, "desc" if direction == "desc" else "asc"))
    return keys


def order_by(sort: str, columns: Mapping[str, Column], dialect: str) -> list[ColumnElement[Any]]:
    """The ORDER BY of a text as `check_sort` takes it, the same on both engines: NULL last, text by
    its bytes.
    """
    terms: list[ColumnElement[Any]] = []
    for name, direction in check_sort(sort, columns):
        bytewise = dialect == "postgresql" and columns[name].kind == "text"
        term = collate(column(name), "C") if bytewise else column(name)
        terms.append((term.desc() if direction == "desc" else term.asc()).nulls_last())
    return terms
