"""What clips have besides their columns: rows of `embeddings`, `option_scores` and `captions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, insert, select

from curate.db.schema import OWN_ID, SIDE_TABLES

RowsByClip = Mapping[int, Sequence[Mapping[str, Any]]]  # by clip id, without clip_id


class NewRows(Protocol):
    """What a clip has in a table from now on (curate.tasks.stage.Rows)."""

    @property
    def table(self) -> str: ...
    @property
    def where(self) -> Mapping[str, Any]: ...
    @property
    def rows(self) -> Sequence[Mapping[str, Any]]: ...


def read(connection: Connection, names: Iterable[str], ids: Sequence[int]) -> dict[str, RowsByClip]:
    """The rows of clips in the named tables, in the order of the tables' keys. Raises KeyError for
    another table.
    """
    rows_of_tables: dict[str, RowsByClip] = {}
    for name in names:
        table = SIDE_TABLES[name]
        rows: dict[int, list[Mapping[str, Any]]] = {}
        query = select(table).where(table.c.clip_id.in_(ids)).order_by(*table.primary_key.columns)
        for row in connection.execute(query).mappings():
            values = {k: v for k, v in row.items() if k != "clip_id"}
            rows.setdefault(row["clip_id"], []).append(values)
        rows_of_tables[name] = rows
    return rows_of_tables


def replace(connection: Connection, new: Mapping[int, Sequence[NewRows]]) -> None:
    """Delete the rows of each clip where its `where` holds, and insert the new ones."""
    deletes: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = {}
    inserts: dict[str, list[dict[str, Any]]] = {}
    for clip_id, parts in new.items():
        for part in parts:
            where = {f"old_{name}": value for name, value in part.where.items()}
            deletes.setdefault((part.table, tuple(sorted(part.where))), []).append(
                {"old_clip_id": clip_id} | where
            )
            rows = [{"clip_id": clip_id, **part.where, **row} for row in part.rows]
            inserts.setdefault(part.table, []).extend(rows)
    for (name, columns), parameters in deletes.items():
        table = SIDE_TABLES[name]
        old = [table.c[c] == bindparam(f"old_{c}") for c in ("clip_id", *columns)]
        connection.execute(delete(table).where(*old), parameters)
    for name, rows in inserts.items():
        table = SIDE_TABLES[name]
        has_key = OWN_ID not in table.columns
        if unnumbered := [row for row in rows if not has_key and OWN_ID not in row]:
            connection.execute(insert(table), unnumbered)
        if known := [row for row in rows if has_key or OWN_ID in row]:
            # a row of the same key that `where` did not name (of another model) gives way too
            dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
            statement = dialect.insert(table)
            keys = list(table.primary_key.columns)
            others = {c.name: statement.excluded[c.name] for c in table.columns if c not in keys}
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=others), known
            )
