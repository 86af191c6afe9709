"""Writes clips to one file: CSV, Parquet, JSON Lines. It takes its name only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from curate.configs.errors import ServiceError, UsageError
from curate.configs.texts import safe_cell
from curate.db.export import Exported, ExportPlan, rows_of
from curate.export.format import TableFormat, Way
from curate.export.registry import table_format
from curate.tasks.inputs.paths import to_path

STDOUT = Path("-")


def export_table(
    engine: Engine,
    plan: ExportPlan,
    target: Path | None,
    format: TableFormat,
    report: Callable[[int], None] = lambda rows: None,
    safe_cells: bool = False,
) -> Exported:
    """Write the planned rows to target (None or -: stdout), replacing it when all are written.

    With `safe_cells` no text is written that a spreadsheet takes for a formula. Memory does not
    grow with the rows. Raises PackageMissing, UsageError, FilesAmiss, and ServiceError when the
    file cannot be written.
    """
    exported = Exported(plan.names)
    with rows_of(engine, plan, to_path, exported, report) as found:
        rows: Iterable[Sequence[Any]] = (row.values for row in found)
        way = Way(plan.names, plan.kinds)
        if safe_cells:
            way = Way(_safe(plan.names), plan.kinds)
            rows = map(_safe, rows)
        if target in (None, STDOUT):
            format.print(way, rows)
        else:
            try:
                with whole(target) as temporary:
                    format.write(temporary, way, rows)
            except OSError as error:
                raise ServiceError(what=str(target), why=error.strerror or error) from error
    return exported


def _safe(values: Sequence[Any]) -> list[Any]:
    return [safe_cell(value) if isinstance(value, str) else value for value in values]


def check_target(
    target: Path | None, safe_cells: bool = False, format: TableFormat | None = None
) -> None:
    """Raise UsageError or ServiceError when nothing can be written there: better before the work
    than after. `format`: not that of the target's ending.
    """
    if target in (None, STDOUT):
        if format:
            format.check()
        return
    try:
        if target.is_dir():
            name = target / "clips.csv"
            raise UsageError(what=f"{target} is a folder; name a file to write, such as {name}")
        format = format or table_format(str(target))
        format.check()
        if safe_cells and format.name != "csv":
            raise UsageError(what=f"--safe-cells is for CSV, and {target} is none; leave it out")
        existing = next((p for p in target.absolute().parents if p.exists()), Path("/"))
        if not existing.is_dir():
            raise UsageError(what=f"{target} cannot be written: {existing} is not a folder")
        # tried, since root may write to folders that take no file
        trial = _temporary(existing / target.name)
        trial.touch()
        trial.unlink()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(what=f"{target} cannot be written: {why}") from None


def _temporary(target: Path) -> Path:
    return target.absolute().with_name(f".{target.name}.{os.getpid()}.tmp")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A temporary path beside target that takes its name at the end; on an exception nothing is
    left of it.
    """
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
