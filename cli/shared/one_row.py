"""Prints all that is known of one clip or video, and why it is where it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.output import emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.schema import Level
from curate.configs.settings import without_passwords
from curate.configs.shown import formatted, plain
from curate.db.export import LAST, SEED, usual
from curate.db.ledger import NOT_REACHED, LedgerLine, ledger, way_back
from curate.db.reports.failures import NO_CLASS
from curate.db.reports.one_row import clips_of, duplicates, row_values, texts_of
from curate.db.schema import PICKED
from curate.worker.session.database import OpenDataset

Values = dict[str, Any]


def print_row(
    session: Session, opened: OpenDataset, level: Level, row_id: int, as_json: bool
) -> None:
    """Print a row of a dataset. Raises UsageError when there is no such row."""
    values = row_values(opened.engine, opened.dataset.id, level, row_id)
    if values is None:
        raise UsageError(what=f"dataset {opened.name} has no {level} {row_id}")
    if "error" in values:
        values["error"] = session.advise(values["error"])
    lines = ledger(opened.engine, opened.pipeline, level, row_id)
    if level == "clip":
        related: Values = texts_of(opened.engine, row_id)
        related["duplicates"] = duplicates(opened.engine, opened.pipeline, row_id)
    else:
        related = {"clips": clips_of(opened.engine, row_id)}
    back = way_back(opened.name, values, lines)
    if as_json:
        why: Values = {"ledger": [asdict(line) for line in lines]}
        why |= {"comes_back_with": session.command(*back) if back else None}
        emit_json(values | {"dataset": opened.name} | related | why)
        return
    print(formatted(f"{level} {row_id} of dataset {opened.name}: {_position(values, lines)}"))
    for names, rows in _tables(opened, values, related, lines):
        if rows:
            print()
            hidden = [[without_passwords(v) if isinstance(v, str) else v for v in r] for r in rows]
            emit_cells(names, hidden, spare=("start_seconds", "stage"))
    if back:
        how = "once that is mended, try again with" if back[0] == "retry" else "comes back with"
        print(plain(f"\n{how}: {session.command(*back)}"))
    warn_of_refilter(session, opened)
    if back and back[0] == "refilter":
        session.next((*back, "--dry-run"), ("pick", "keep", str(row_id), "--dataset", opened.name))
    else:
        session.next(("filter", opened.name))


def _position(values: Values, lines: Sequence[LedgerLine]) -> str:
    """Where a row is, in a few words."""
    stage, reason = values["stage"], values.get("reason")
    if values["status"] == "active":
        return f"at work in {stage}" if "owner" in values else f"waits for {stage}"
    if values["status"] == "failed":
        return f"failed in {stage}: {reason or NO_CLASS}"
    if values["status"] == "dropped":
        by_filter = reason in [line.filter for line in lines]
        if reason == PICKED:
            return "picked to drop"
        return f"dropped by the filter {reason}" if by_filter else f"dropped in {stage}: {reason}"
    return str(values["status"])


def _tables(
    opened: OpenDataset, values: Values, related: Values, lines: Sequence[LedgerLine]
) -> Iterator[tuple[Sequence[str], list[tuple[Any, ...]]]]:
    """What is shown of a row, each table with its columns: scores, the other columns, what it has
    in other tables, and the ledger: a line for each condition of a filter.
    """
    columns = opened.pipeline.columns()
    scores = {}
    if "video_id" in values:
        wanted = [name for name in usual(opened.pipeline) if name not in (*SEED, *LAST)]
        scores = {name: columns[name] for name in wanted if name in values or columns[name].better}
    stages = {name: step.name for step in opened.pipeline.stages for name in step.spec.columns}
    yield (
        ("score", "value", "stage", "better"),
        [
            (name, values.get(name, "not measured"), stages.get(name), column.better)
            for name, column in scores.items()
        ],
    )
    yield ("column", "value"), [item for item in values.items() if item[0] not in scores]
    for caption in related.get("captions", ()):
        names = {"text": "text", "text_raw": "as written", "prompt": "prompt", "match": "match"}
        cells = [(name, caption[column]) for column, name in names.items()]
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(caption["created_at"]))
        cells += [(f"field {name}", text) for name, text in caption["fields"].items()]
        cells += [("revision", caption["revision"]), ("written", written)]
        cells += [("summary", caption["summary"])]
        about = [f"caption {caption['id']}", f"by {caption['model']}"]
        if caption["window_seconds"]:
            start, end = caption["window_seconds"]
            about[1] += f", {start:.2f} to {end:.2f} s"
        yield about, [cell for cell in cells if cell[1] not in (None, "")]
    for table, names_of in _RELATED.items():
        yield names_of, [tuple(row[name] for name in names_of) for row in related.get(table, ())]
    ledger_cells = []
    for line in lines:
        filter_name = line.filter if line.level == "clip" else f"{line.filter} (video)"
        for clause in line.clauses:
            verdict = line.verdict if line.verdict == NOT_REACHED else clause.verdict
            has = [f"{n} {'not measured' if v is None else v}" for n, v in clause.values.items()]
            ledger_cells.append((filter_name, verdict, ", ".join(has), clause.where))
    yield ("filter", "verdict", "has", "passes where"), ledger_cells


_RELATED = {
    "rewrites": ("variant", "text", "model", "drift"),
    "option_scores": ("option", "score", "model", "prompt"),
    "duplicates": ("relation", "id", "distance", "stage", "status", "source", "start_seconds"),
    "clips": ("clips", "status", "stage", "reason"),
}
