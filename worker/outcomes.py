"""Runs a stage over rows and turns whatever it returns or raises into checked outcomes."""

from __future__ import annotations

import dataclasses
import errno
import logging
import math
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy import Float, Integer, LargeBinary, Table

from curate.configs.errors import CurateError, DiskFull, ServiceError
from curate.configs.row_errors import NotFinite, OutOfMemory, RowError, UnexpectedError
from curate.configs.schema import Column
from curate.configs.texts import storable
from curate.db.save.batch import Outcomes
from curate.db.save.log import Took
from curate.db.schema import FIELDS, OWN_ID, SIDE_TABLES, captions
from curate.tasks.stage import Clip, Outcome, Rows, Stage, Video
from curate.worker.logs import about

log = logging.getLogger(__name__)

AnyStage = Stage[Any, Any]


def run_rows(stage: AnyStage, rows: Sequence[Video | Clip]) -> Outcomes:
    """Run the stage over the rows. A row that raises ends up in `failed`, without harm to others.

    A ServiceError as the outcome of a row goes to `service_error` alone: the row is to be released,
    and the others saved, because their outcomes may have cost money. Raises that ServiceError if no
    row has an outcome of its own, or if the stage is ordered: it must not skip a row.
    """
    outcomes = Outcomes()
    for row, outcome in zip(rows, _run(stage, rows, outcomes.took), strict=True):
        try:
            checked = _checked(stage, outcome)
        except ServiceError as error:
            outcomes.service_error = error
            continue
        if isinstance(checked, CurateError):
            outcomes.failed[row.id] = (type(checked).__name__, storable(str(checked)))
            continue
        outcomes.scores[row.id] = checked.scores
        if stage.makes:
            outcomes.clips[row.id] = checked.clips
        if checked.drop:
            outcomes.dropped[row.id] = checked.drop
        if checked.tables:
            outcomes.tables[row.id] = checked.tables
    if outcomes.service_error:
        ordered = stage.order(stage.options) is not None
        if ordered or not (outcomes.scores or outcomes.failed):
            raise outcomes.service_error
    for row_id, (_, message) in outcomes.failed.items():
        with about(row=row_id):
            log.info("failed: %s", message)
    return outcomes


def _laps() -> Iterator[tuple[float, float]]:
    """What passed since the last lap: seconds of the CPU, of all threads of this process and of
    its children that ended, and of the wall clock. The first lap begins the count.
    """
    cpu = wall = 0.0
    while True:
        before, children = (cpu, wall), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() + children.ru_utime + children.ru_stime
        wall = time.monotonic()
        yield cpu - before[0], wall - before[1]


def _run(stage: AnyStage, rows: Sequence[Any], took: list[Took]) -> Sequence[Outcome | CurateError]:
    """One outcome per row, from `run_batch`, or row by row if the stage has none or it raised.

    A batch of one row and an ordered batch are not run again: all their rows fail.
    `took` gets what each batch took, or in it the rows of each video.
    """
    video_of = attrgetter("id" if stage.level == "video" else "video.id")
    laps = _laps()
    next(laps)
    own_batch = type(stage).run_batch is not Stage.run_batch
    if own_batch:
        try:
            return _run_batch(stage, rows)
        except Exception as error:  # noqa: BLE001  a stage may raise anything
            failure = as_row_error(stage, error)
        finally:
            took.append(Took([*map(video_of, rows)], *next(laps)))
        if len(rows) == 1 or stage.order(stage.options) is not None:
            return [failure] * len(rows)
    outcomes: list[Outcome | CurateError] = []
    for video, group in groupby(rows, video_of):
        of_video = list(group)
        for row in of_video:
            with about(row=row.id):
                try:
                    outcomes += _run_batch(stage, [row]) if own_batch else [stage.run(row)]
                except Exception as error:  # noqa: BLE001  a stage may raise anything
                    outcomes.append(as_row_error(stage, error))
        took.append(Took([video] * len(of_video), *next(laps)))
    return outcomes


def _run_batch(stage: AnyStage, rows: Sequence[Any]) -> Sequence[Outcome | CurateError]:
    outcomes = stage.run_batch(rows)
    if len(outcomes) != len(rows):
        raise ValueError(f"{len(outcomes)} outcomes for {len(rows)} rows")
    return outcomes


def as_row_error(stage: AnyStage, error: Exception) -> CurateError:
    """The error of a row whose stage raised `error`. Raises ServiceError if no row is to blame."""
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, RowError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(stage=stage.name, megabytes=stage.options.memory_mb)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFull(stage=stage.name, folder=stage.context.settings.folder) from error
    log.warning("stage %s raised", stage.name, exc_info=error)
    why = " ".join(str(error).split())[:500]
    return UnexpectedError(stage=stage.name, kind=type(error).__name__, why=why)


def _checked(stage: AnyStage, outcome: Outcome | CurateError) -> Outcome | CurateError:
    """The outcome as values that a database takes, or the error that the row fails with.

    Raises ServiceError if the outcome is one.
    """
    if isinstance(outcome, Exception):
        return as_row_error(stage, outcome)
    own_columns = stage.own_columns if stage.makes else stage.columns
    try:
        return Outcome(
            _plain_scores(stage, own_columns, outcome.scores),
            [
                dataclasses.replace(c, scores=_plain_scores(stage, stage.columns, c.scores))
                for c in outcome.clips
            ],
            storable(outcome.drop) if outcome.drop else None,
            [_plain_rows(stage, rows) for rows in outcome.tables],
        )
    except Exception as error:  # noqa: BLE001  a stage may return anything
        return as_row_error(stage, error)


def _plain_scores(
    stage: AnyStage, columns: Mapping[str, Column], scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores as plain values of their columns' kinds. Raises NotFinite or UnexpectedError."""
    plain: dict[str, Any] = {}
    for name, value in scores.items():
        if name not in columns:
            fault = "a column it does not declare"
            raise UnexpectedError(stage=stage.name, kind=fault, why=name)
        plain[name] = _plain(stage, name, columns[name].kind, value)
    return plain


def _plain_rows(stage: AnyStage, new: Rows) -> Rows:
    """Rows of a side table as plain values. Raises NotFinite or UnexpectedError."""
    declared = stage.level == "clip" and new.table in stage.writes and new.table in SIDE_TABLES
    if not declared:
        fault = "rows of a table that it does not declare"
        raise UnexpectedError(stage=stage.name, kind=fault, why=new.table)
    table = SIDE_TABLES[new.table]
    where = _plain_row(stage, table, new.where)
    rows = [_plain_row(stage, table, {**where, **row}) for row in new.rows]
    for row in rows:
        missing = sorted({c.name for c in table.columns} - row.keys() - {"clip_id", OWN_ID})
        if missing:
            fault = f"a row of {table.name} without"
            raise UnexpectedError(stage=stage.name, kind=fault, why=", ".join(missing))
    names = [c.name for c in table.primary_key if c.name != "clip_id"]
    keys = [tuple(row[n] for n in names) for row in rows if OWN_ID not in names or OWN_ID in row]
    if len(set(keys)) < len(keys):
        fault = f"two rows of {table.name} with one key"
        raise UnexpectedError(stage=stage.name, kind=fault, why=keys)
    return Rows(new.table, where, rows)


_SQL_KINDS = ((Integer, "int"), (Float, "float"), (LargeBinary, "bytes"))


def _plain_row(stage: AnyStage, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name == FIELDS and table is captions:
            plain[name] = {
                _plain(stage, name, "text", field, False): _plain(stage, name, "text", text, False)
                for field, text in value.items()
            }
            continue
        if name == "clip_id" or name not in table.columns:
            fault = f"a column that {table.name} does not take"
            raise UnexpectedError(stage=stage.name, kind=fault, why=name)
        column = table.columns[name]
        kind = next((kind for sql, kind in _SQL_KINDS if isinstance(column.type, sql)), "text")
        plain[name] = _plain(stage, f"{table.name}.{name}", kind, value, bool(column.nullable))
    return plain


def _plain(stage: AnyStage, column: str, kind: str, value: Any, optional: bool = True) -> Any:
    """A value as the Python type of its column's kind.

    Raises NotFinite, or UnexpectedError for a value of another type or an int beyond 64 bits.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if value is None and optional:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise NotFinite(stage=stage.name, value=value, column=column)
    if kind == "float" and isinstance(value, int | float):
        return float(value)
    if kind == "int" and isinstance(value, int) and abs(value) < 1 << 63:
        return int(value)  # also of a bool, which Postgres would refuse in an integer column
    if kind == "text" and isinstance(value, str):
        return storable(value)
    if kind == "bytes" and isinstance(value, bytes):
        vector = np.frombuffer(value, "<f2")
        if not np.isfinite(vector).all():
            broken = float(vector[~np.isfinite(vector)][0])
            raise NotFinite(stage=stage.name, value=broken, column=column)
        return value
    fault = f"a value that is no {kind} for column {column}"
    raise UnexpectedError(stage=stage.name, kind=fault, why=repr(value)[:200])
