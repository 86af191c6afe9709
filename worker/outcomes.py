"""Runs a stage over rows and checks what it found: nothing that a stage returns or raises reaches a
row unseen.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Float, Integer, LargeBinary, Table

from curate.configs.errors import (
    CurateError,
    DiskFull,
    NotFinite,
    OutOfMemory,
    RowError,
    ServiceError,
    UnexpectedError,
)
from curate.configs.texts import storable
from curate.db.save.batch import Findings
from curate.db.schema import BESIDE, OWN_ID
from curate.tasks.stage import Clip, Outcome, Rows, Stage, Video
from curate.worker.logs import about

log = logging.getLogger(__name__)

Kept = Outcome | CurateError


def find(stage: Stage[Any, Any], rows: Sequence[Video | Clip]) -> Findings:
    """Run the stage over the rows. A row that raises ends up among the failed, and takes no other
    along.

    Raises ServiceError when no row has an outcome of its own.
    """
    findings = Findings()
    for row, outcome in zip(rows, _outcomes(stage, rows), strict=True):
        try:
            checked = (
                as_row_error(stage, outcome)
                if isinstance(outcome, Exception)
                else _checked(stage, outcome)
            )
        except (
            ServiceError
        ) as error:  # this row waits; what the others found may have been paid for
            findings.trouble = error
            continue
        if isinstance(checked, CurateError):
            findings.failed[row.id] = (type(checked).__name__, storable(str(checked)))
            continue
        findings.scores[row.id] = checked.scores
        if stage.makes:
            findings.clips[row.id] = checked.clips
        if checked.drop:
            findings.dropped[row.id] = checked.drop
        if checked.tables:
            findings.tables[row.id] = checked.tables
    some = findings.scores or findings.failed
    if findings.trouble and (
        not some or stage.order(stage.options) is not None
    ):  # in order, or not at all
        raise findings.trouble
    return findings


def _outcomes(stage: Stage[Any, Any], rows: Sequence[Any]) -> Iterable[Kept]:
    if type(stage).run_batch is not Stage.run_batch:
        whole = _attempt(stage, rows)
        if not isinstance(whole, CurateError):
            return whole
        if len(rows) == 1 or stage.order(stage.options) is not None:
            return [whole] * len(rows)
        singles = [_attempt(stage, [row]) for row in rows]
        return [one if isinstance(one, CurateError) else one[0] for one in singles]
    return [_attempt_row(stage, row) for row in rows]


def _attempt(stage: Stage[Any, Any], rows: Sequence[Any]) -> Sequence[Kept] | CurateError:
    try:
        outcomes = stage.run_batch(rows)
        if len(outcomes) != len(rows):
            raise ValueError(f"{len(outcomes)} outcomes for {len(rows)} rows")
        return outcomes
    except Exception as error:  # noqa: BLE001  the one place where a stage may raise anything
        return as_row_error(stage, error)


def _attempt_row(stage: Stage[Any, Any], row: Any) -> Kept:
    with about(row=row.id):
        try:
            return stage.run(row)
        except Exception as error:  # noqa: BLE001  the one place where a stage may raise anything
            return as_row_error(stage, error)


def as_row_error(stage: Stage[Any, Any], error: Exception) -> CurateError:
    """What a row fails with when its stage raised `error`. Raises ServiceError where no row is to
    blame.
    """
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, RowError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(stage=stage.name, megabytes=stage.options.memory_mb)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFull(stage=stage.name, folder=stage.context.settings.folder) from error
    log.warning("stage %s raised", stage.name, exc_info=error)
    return UnexpectedError(
        stage=stage.name, kind=type(error).__name__, why=" ".join(str(error).split())[:500]
    )


def _checked(stage: Stage[Any, Any], outcome: Outcome) -> Kept:
    try:
        found = [dataclasses.replace(c, scores=_plain(stage, c.scores)) for c in outcome.clips]
        tables = [_plain_rows(stage, part) for part in outcome.tables]
        drop = storable(outcome.drop) if outcome.drop else None
        return Outcome(_plain(stage, outcome.scores), found, drop, tables)
    except Exception as error:  # noqa: BLE001  a stage may return anything
        return as_row_error(stage, error)


def _plain(stage: Stage[Any, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as plain numbers and text of their columns' kinds. Raises NotFinite,
    UnexpectedError.
    """
    plain: dict[str, Any] = {}
    for column, value in scores.items():
        if column not in stage.columns:
            raise UnexpectedError(stage=stage.name, kind="a column it does not declare", why=column)
        number = value.item() if isinstance(value, np.generic) else value
        _check_finite(stage, column, number)
        plain[column] = None if number is None else _fitted(stage, column, number)
    return plain


def _fitted(stage: Stage[Any, Any], column: str, value: Any) -> Any:
    return _as_kind(stage, column, stage.columns[column].kind, value)


def _as_kind(stage: Stage[Any, Any], column: str, kind: str, value: Any) -> Any:
    """The value as Python's type of the kind. Raises UnexpectedError when it is of another one."""
    if kind == "float" and isinstance(value, int | float):
        return float(value)
    if kind == "int" and isinstance(value, int) and abs(value) < 1 << 63:
        return int(value)  # a bool too: Postgres takes it for another type
    if kind == "text" and isinstance(value, str):
        return storable(value)
    if kind == "bytes" and isinstance(value, bytes):
        return value
    raise UnexpectedError(
        stage=stage.name,
        kind=f"a value that is no {kind} for column {column}",
        why=repr(value)[:200],
    )


def _plain_rows(stage: Stage[Any, Any], part: Rows) -> Rows:
    """The rows as plain values of their columns' kinds. Raises NotFinite, UnexpectedError."""
    if stage.level != "clip" or part.table not in stage.writes or part.table not in BESIDE:
        raise UnexpectedError(
            stage=stage.name, kind="rows of a table that it does not declare", why=part.table
        )
    table = BESIDE[part.table]
    where = _plain_row(stage, table, part.where)
    rows = [_plain_row(stage, table, {**where, **row}) for row in part.rows]
    for row in rows:
        missing = sorted({c.name for c in table.columns} - row.keys() - {"clip_id", OWN_ID})
        if missing:
            raise UnexpectedError(
                stage=stage.name, kind=f"a row of {table.name} without", why=", ".join(missing)
            )
    names = [c.name for c in table.primary_key if c.name != "clip_id"]
    keys = [
        tuple(row[name] for name in names) for row in rows if OWN_ID not in names or OWN_ID in row
    ]
    if len(set(keys)) < len(keys):
        raise UnexpectedError(
            stage=stage.name, kind=f"two rows of {table.name} with one key", why=keys
        )
    return Rows(part.table, where, rows)


def _plain_row(stage: Stage[Any, Any], table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for column, value in row.items():
        if column == "clip_id" or column not in table.columns:
            raise UnexpectedError(
                stage=stage.name, kind=f"a column that {table.name} does not take", why=column
            )
        number = value.item() if isinstance(value, np.generic) else value
        optional = number is None and table.columns[column].nullable
        plain[column] = None if optional else _as_kind(stage, column, _kind(table, column), number)
        _check_finite(stage, f"{table.name}.{column}", plain[column])
    return plain


def _kind(table: Table, column: str) -> str:
    kinds = ((Integer, "int"), (Float, "float"), (LargeBinary, "bytes"))
    return next(
        (kind for sql, kind in kinds if isinstance(table.columns[column].type, sql)), "text"
    )


def _check_finite(stage: Stage[Any, Any], column: str, value: Any) -> None:
    """Raise NotFinite for a number, or a vector of float16, that holds NaN or infinity."""
    if isinstance(value, bytes):
        numbers = np.frombuffer(value, "<f2")
        value = float(numbers[~np.isfinite(numbers)][0]) if not np.isfinite(numbers).all() else 0.0
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFinite(stage=stage.name, value=value, column=column)
