"""What clips have besides their columns: rows of `embeddings`, `option_scores`, `captions`
and `rewrites`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from sqlalchemy import Connection, Table, bindparam, delete, insert, select

from curate.db.expressions import among
from curate.db.schema import FIELDS, OWN_ID, SIDE_TABLES, caption_fields, captions

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
    """The rows of clips in the named tables, in the order of the tables' keys, those of captions
    with their fields. Raises KeyError for another table.
    """
    rows_of_tables: dict[str, RowsByClip] = {}
    for name in names:
        table = SIDE_TABLES[name]
        fields = _fields(connection, ids) if table is captions else {}
        rows: dict[int, list[Mapping[str, Any]]] = {}
        query = select(table).where(among(table.c.clip_id)).order_by(*table.primary_key.columns)
        for row in connection.execute(query, {"ids": list(ids)}).mappings():
            values = {k: v for k, v in row.items() if k != "clip_id"}
            if table is captions:
                values[FIELDS] = fields.get(row["id"], {})
            rows.setdefault(row["clip_id"], []).append(values)
        rows_of_tables[name] = rows
    return rows_of_tables


def _fields(connection: Connection, clip_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The fields of the captions of clips, by caption, in the order of the alphabet."""
    query = (
        select(caption_fields)
        .join_from(captions, caption_fields)
        .where(among(captions.c.clip_id))
        .order_by(*caption_fields.primary_key.columns)
    )
    found: dict[int, dict[str, str]] = {}
    for caption, name, text in connection.execute(query, {"ids": list(clip_ids)}):
        found.setdefault(caption, {})[name] = text
    return found


def replace(connection: Connection, new: Mapping[int, Sequence[NewRows]]) -> None:
    """Delete the rows of each clip where its `where` holds (of None: is NULL), and insert the new
    ones. Captions come with their fields, and those of deleted ones go with them.
    """
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
        # = where NULL cannot be, for Postgres uses no index for the other
        old = [
            table.c[c].is_not_distinct_from(bindparam(f"old_{c}"))
            if table.c[c].nullable
            else table.c[c] == bindparam(f"old_{c}")
            for c in ("clip_id", *columns)
        ]
        connection.execute(delete(table).where(*old), parameters)
    for name, rows in inserts.items():
        _insert(connection, SIDE_TABLES[name], rows)


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    fields = [row.pop(FIELDS, {}) for row in rows] if table is captions else []
    has_key = OWN_ID not in table.columns
    unnumbered = [row for row in rows if not has_key and OWN_ID not in row]
    known = [row for row in rows if has_key or OWN_ID in row]
    if unnumbered and any(fields):
        number = table.c[OWN_ID]
        numbered = insert(table).returning(number, sort_by_parameter_order=True)
        for row, made in zip(unnumbered, connection.execute(numbered, unnumbered), strict=True):
            row[OWN_ID] = made[0]
    elif unnumbered:
        connection.execute(insert(table), unnumbered)
    if known:
        # a row of the same key that `where` did not name (of another model) gives way too
        dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
        statement = dialect.insert(table)
        keys = list(table.primary_key.columns)
        others = {c.name: statement.excluded[c.name] for c in table.columns if c not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), known)
    if any(fields):
        texts = [
            {"caption_id": row[OWN_ID], "field": field, "text": text}
            for row, of_row in zip(rows, fields, strict=True)
            for field, text in of_row.items()
        ]
        connection.execute(insert(caption_fields), texts)
