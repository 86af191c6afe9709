"""`curate refilter`: other filters, without scoring again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli.shared.options import Config, DatasetName, Json, Sets
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.differences import differences, only_filters_differ
from curate.configs.errors import StagesChanged, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.shown import counted, formatted
from curate.db.preview import preview
from curate.db.refilter import replace_pipeline
from curate.db.reports.counts import count_unfinished
from curate.worker.session.database import OpenDataset, open_dataset
from curate.worker.session.pipelines import changed_pipeline, resolve

PREVIEW_COLUMNS = ["filter", "rows", "kept", "lost", "come_back", "to_go", "unmeasured"]
SPARE = ("unmeasured", "to_go")  # left out where the terminal is narrow


def refilter(
    ctx: typer.Context,
    dataset: DatasetName = None,
    config: Config = None,
    sets: Sets = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only count what would change.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Apply changed filters to all clips; nothing is scored again.

    Clips that now pass come back; clips that no longer pass are dropped. Only filters may change.
    Workers may go on meanwhile. To finish a refilter that was interrupted: curate refilter DATASET

    Example:
      curate refilter --dry-run --set moving.where='flow >= 1'
      curate refilter --set unique.enabled=false --set not_black.where='black <= 0.3'
      curate refilter videos -c pipeline.yaml
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    pipeline = _with_other_filters(opened, config, sets or [])
    if dry_run:
        _show_preview(session, opened, pipeline, as_json)
        options = [word for one in sets or [] for word in ("--set", one)]
        options += ["--config", str(config)] if config else []
        session.next(("refilter", opened.name, *options))
        return
    with Counter(session.console, "rows judged") as counter:
        counts = replace_pipeline(opened.engine, opened.dataset, pipeline, counter.show)
    left = count_unfinished(opened.engine, opened.dataset.id)
    if as_json:
        emit_json({"dataset": opened.name, **counts, "unfinished": left})
    else:
        revived, dropped = (counted(counts[k], "row") for k in ("revived", "dropped"))
        print(f"dataset {opened.name}: {revived} revived, {dropped} dropped")
    if left:
        session.console.say(f"with stages to go through: {counted(left, 'row')}")
    session.next(("resume" if left else "export", opened.name, "-o", "clips.csv"))


def _show_preview(session: Session, opened: OpenDataset, pipeline: Pipeline, as_json: bool) -> None:
    """Count what a refilter would change, and print it."""
    with Counter(session.console, "rows judged") as counter:
        changes = preview(opened.engine, opened.dataset, pipeline, counter.show)
    filters: list[dict[str, Any]] = [
        {"filter": f.name, "rows": f"{f.level}s", **asdict(f.changes), "old": f.old, "new": f.new}
        for f in changes.filters
    ]
    in_all = {f"{level}s": asdict(counts) for level, counts in changes.in_all.items()}
    if as_json:
        emit_json(
            {
                "dataset": opened.name,
                "filters": filters,
                "in_all": in_all,
                "at_work": changes.at_work,
            }
        )
        return
    totals = [{"filter": "in all", "rows": rows, **counts} for rows, counts in in_all.items()]
    emit([*filters, *totals], False, PREVIEW_COLUMNS, SPARE)
    for name, (old, new) in {f.name: (f.old, f.new) for f in changes.filters}.items():
        print(formatted(f"{name}: {old or 'no filter'} → {new or 'no filter'}"))
    come_back, lost = (sum(c[key] for c in in_all.values()) for key in ("come_back", "lost"))
    session.console.say(
        f"{counted(come_back, 'row')} would be revived and {lost} dropped; nothing was written"
    )
    if changes.at_work:
        session.console.say(
            f"{counted(changes.at_work, 'row')} at work are not counted: they are judged when they "
            "are saved"
        )


def _with_other_filters(opened: OpenDataset, config: Path | None, sets: Sequence[str]) -> Pipeline:
    """The pipeline with other filters.

    Raises UsageError, ConfigError, FilterError, StagesChanged.
    """
    if not config and not sets:
        if opened.dataset.refiltering:
            return opened.pipeline
        raise UsageError(
            what="Say what changes: --set FILTER.where='…' or --config FILE. See:"
            " `curate filter DATASET`"
        )
    if config:
        requested = resolve(config, sets, ready=False).pipeline
    else:  # as it is: a stage that was installed since does not join
        requested = changed_pipeline(opened.dataset, sets)
    old, new = opened.pipeline.frozen(), requested.frozen()
    if not only_filters_differ(old, new):
        stages = {step["stage"] for step in [*old, *new] if "stage" in step}
        changes = [d for d in differences(old, new) if d.split()[0].split(".")[0] in stages]
        what = ", ".join(changes) or "the order of stages"
        raise StagesChanged(
            source="given", name=opened.name, what=what, anew=opened.dataset.run_anew()
        )
    return requested
