"""`curate errors`: what failed, and why."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated

import typer

from curate.cli.shared.known import known_error, known_stage
from curate.cli.shared.lost_frames import list_lost, lost_json, lost_text
from curate.cli.shared.options import (
    DatasetName,
    ErrorClass,
    FailedStage,
    Json,
    RowLevel,
    level_of,
    row_id,
)
from curate.cli.shared.output import emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.configs import row_errors
from curate.configs.errors import UsageError
from curate.configs.settings import without_passwords
from curate.configs.shown import folded, formatted
from curate.db.reports.failures import FailedRow, Failure, failed_rows, failures
from curate.db.reports.frames import FrameCounts, count_frames
from curate.worker.session.database import OpenDataset, open_dataset
from curate.worker.session.gone import gone_text, gone_unreadable


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
    row: Annotated[
        int | None,
        typer.Option(
            "--id",
            metavar="INTEGER",
            parser=row_id,
            help="Show all about one row, as curate show does.",
        ),
    ] = None,
    level: RowLevel = "clip",
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
        from curate.cli.shared.one_row import print_row  # loads sqlglot

        print_row(session, opened, level_of(level), row, as_json)
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


# what to do first about errors that another try alone does not mend
_FIRST = {
    "file": "replace the file; `curate run` notices, and needs no retry",
    "message": "first do what the message says; another try alone fails again",
}


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
        print(folded(f"    {formatted(f.message)}", sys.stdout))
    if failed:
        first = failed[0]
        one = ("show", str(first.example_id), "--level", first.level)
        more = [("errors", opened.name, "--all")] if any(f.rows > 1 for f in failed) else []
        of: dict[str, list[str]] = {"nothing": [], "file": [], "message": []}
        for kind in dict.fromkeys(f.error for f in failed):
            of[getattr(row_errors, kind, row_errors.RowError).first].append(kind)
        for needed, remark in _FIRST.items():
            if of[needed]:
                session.console.say(f"{', '.join(of[needed])}: {remark}")
        again = of["file"] + of["message"]
        retries = [("retry", opened.name, "--error", kind) for kind in of["nothing"][:1]]
        session.next(*(retries if again else [("retry", opened.name)]), one, *more)
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
