"""`curate errors`: what failed, and why."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated

import typer

from curate.cli.shared.database import OpenDataset, known_error, known_stage, open_dataset
from curate.cli.shared.gone import gone_text, gone_unreadable
from curate.cli.shared.lost_frames import list_lost, lost_json, lost_text
from curate.cli.shared.options import DatasetName, ErrorClass, FailedStage, Json
from curate.cli.shared.output import emit_cells, emit_json, formatted
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.schema import Level
from curate.configs.settings import without_passwords
from curate.db.reports.failures import FailedRow, Failure, failed_rows, failures, row_values
from curate.db.reports.frames import FrameCounts, count_frames


def errors(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: FailedStage = None,
    error: ErrorClass = None,
    all_rows: Annotated[
        bool, typer.Option("--all", help="Show every row that failed, not one a kind.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print every row as CSV on standard output.")
    ] = False,
    row: Annotated[int | None, typer.Option("--id", help="Show everything about one row.")] = None,
    level: Annotated[str, typer.Option(help="Whether --id is that of a clip or a video.")] = "clip",
    as_json: Json = False,
) -> None:
    """Show what failed: the kind of error, how many rows, one of them, and what to do.

    Example:
      curate errors --stage probe
      curate errors --error NotMedia --csv > broken.csv
      curate errors --id 812
    """
    session = Session.of(ctx)
    if as_csv and dataset and dataset.lower().endswith(".csv"):
        to_file = f"curate errors --csv > {shlex.quote(dataset)}"
        raise UsageError(what=f"--csv prints on standard output; to write a file: `{to_file}`")
    if as_csv and dataset == "-":  # standard output, as other programs have it
        dataset = None
    opened = open_dataset(session, dataset)
    if row is not None:
        _print_row(session, opened, level, row, as_json)
        return
    which = (opened.engine, opened.dataset.id, known_stage(opened, stage))
    kind = known_error(opened, error)
    if all_rows or as_csv:
        all_failed = failed_rows(*which, kind)
        rows = (r._replace(message=session.advise(r.message)) for r in all_failed)
        found = _print_rows(rows, as_csv, as_json)
    else:
        failed = [replace(f, message=session.advise(f.message)) for f in failures(*which, kind)]
        frames = FrameCounts() if stage or kind else count_frames(*which[:2])
        found = bool(failed or frames.videos_with_losses)
        _print_kinds(session, opened, failed, frames, as_json)
    if not found and not as_json:
        session.console.say("nothing failed")


def _print_kinds(
    session: Session,
    opened: OpenDataset,
    failed: list[Failure],
    frames: FrameCounts,
    as_json: bool,
) -> None:
    """Print each kind of error with one of its rows, and what to do; then frames that were lost."""
    lost = lost_text(frames)
    if as_json:
        rows = [asdict(f) | {"gone": gone_unreadable(opened, f.stage, f.error)} for f in failed]
        emit_json([*rows, lost_json(frames)] if lost else rows)
        return
    for f in failed:
        example = f"{f.level} {f.example_id}: {formatted(without_passwords(str(f.path)))}"
        gone = gone_text(gone_unreadable(opened, f.stage, f.error))
        print(f"{f.rows} x {f.error} in {f.stage}{gone}   e.g. {example}")
        print(f"    {formatted(f.message)}")
    if failed:
        first = failed[0]
        one = ("--id", str(first.example_id), "--level", first.level)
        more = [("errors", opened.name, "--all")] if any(f.rows > 1 for f in failed) else []
        session.next(("retry", opened.name), ("errors", opened.name, *one), *more)
    if lost:
        print(f"{lost}   e.g. video {frames.example_id}: {formatted(frames.example)}")
        session.next(list_lost(opened.dataset.id))


def _print_rows(rows: Iterable[FailedRow], as_csv: bool, as_json: bool) -> bool:
    """Print every row that failed; returns whether there was one."""
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(FailedRow._fields)
        return bool(sum(1 for row in rows if writer.writerow(row)))
    found = list(rows)
    if as_json:
        emit_json([row._asdict() for row in found])
    elif found:
        emit_cells(FailedRow._fields, found)
    return bool(found)


def _print_row(
    session: Session, opened: OpenDataset, level: str, row_id: int, as_json: bool
) -> None:
    """Print all columns of one row. Raises UsageError when there is no such row."""
    if level not in ("clip", "video"):
        raise UsageError(what=f"--level {level}: it is clip or video")
    known: Level = "video" if level == "video" else "clip"
    values = row_values(opened.engine, opened.dataset.id, known, row_id)
    if values is None:
        raise UsageError(what=f"dataset {opened.name} has no {level} {row_id}")
    if "error" in values:
        values["error"] = session.advise(values["error"])
    if as_json:
        emit_json(values)
    else:
        emit_cells(("column", "value"), list(values.items()))
