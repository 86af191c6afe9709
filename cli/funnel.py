"""`curate filter` and `refilter`: what each step kept, and other thresholds without scoring again."""

from __future__ import annotations

import sys
from typing import Any

import typer

from curate.cli import options
from curate.cli.options import Config, DatasetName, Json, Sets
from curate.cli.session import Opened, Session, session

_COLUMNS = (
    "step",
    "kind",
    "rows",
    "came_in",
    "kept",
    "dropped",
    "failed",
    "waiting",
    "kept_share",
    "where",
)


def funnel_rows(opened: Opened) -> list[dict[str, Any]]:
    """One dict a step of the pipeline, in order: what came in, what was kept, dropped, failed,
    waits.
    """
    from curate.db.reports.overview import view_dataset

    view = view_dataset(opened.engine, opened.dataset.id, opened.pipeline)
    return [
        {
            "step": p.step, "kind": p.kind, "rows": f"{p.level}s", "came_in": p.came_in, "kept": p.kept,
            "dropped": p.dropped, "failed": p.failed, "waiting": p.unfinished,
            "kept_share": None if p.kept_share is None else round(p.kept_share, 6), "where": p.where,
        }
        for p in view.steps
    ]  # fmt: skip


def print_funnel(opened: Opened, to_stderr: bool = False, quiet: bool = False) -> None:
    """The funnel as text: on stdout, or as talk on stderr."""
    from curate.cli.output import aligned, emit, percent, shown

    rows = funnel_rows(opened)
    for row in rows:
        row["kept_share"] = "" if row["kept_share"] is None else percent(row["kept_share"])
    names = list(_COLUMNS)
    if not to_stderr:
        emit(rows, False, names)
    elif not quiet:
        numeric = [
            n in ("came_in", "kept", "dropped", "failed", "waiting", "kept_share") for n in names
        ]
        sys.stderr.write(aligned(names, [[shown(r[n]) for n in names] for r in rows], numeric))


def warn_of_refilter(here: Session, opened: Opened) -> None:
    """Say so when changed filters have not been applied to all rows."""
    if opened.dataset.refiltering:
        name = opened.dataset.name
        here.talk.warn(
            f"a refilter of {name} is under way or was interrupted: not all rows are judged by its filters yet; if "
            f"none is running, finish it with: curate refilter {name}"
        )


def filter_(ctx: typer.Context, dataset: DatasetName = None, as_json: Json = False) -> None:
    """Show the funnel: for each stage and filter in order, the rows that came in, were kept, were
    dropped.

    Example:
      curate filter
      curate filter videos --json
    """
    from curate.cli.output import emit_json

    here = session(ctx)
    opened = here.open_dataset(dataset)
    if as_json:
        emit_json(funnel_rows(opened))
    else:
        print_funnel(opened)
    warn_of_refilter(here, opened)
    name = opened.dataset.name
    here.talk.next(
        f"curate refilter {name} --set FILTER.where='…'", f"curate export {name} -o clips.csv"
    )


def refilter(
    ctx: typer.Context,
    dataset: DatasetName = None,
    config: Config = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Apply changed filters to all clips; nothing is scored again.

    Clips that now pass come back, clips that no longer do are dropped. Only filters may change.
    Workers may go on meanwhile. A refilter that was interrupted is finished by: curate refilter
    DATASET

    Example:
      curate refilter --set unique.enabled=false --set not_black.where='black <= 0.3'
      curate refilter videos -c pipeline.yaml
    """
    from curate.cli.output import Counter, counted, emit_json
    from curate.db.refilter import replace_pipeline
    from curate.db.reports.counts import count_unfinished

    here = session(ctx)
    opened = here.open_dataset(dataset)
    pipeline = _changed(opened, config, sets or [])
    with Counter(here.talk, "rows judged") as counter:
        counts = replace_pipeline(opened.engine, opened.dataset, pipeline, counter.show)
    left = count_unfinished(opened.engine, opened.dataset.id)
    name = opened.dataset.name
    if as_json:
        emit_json({"dataset": name, **counts, "unfinished": left})
    else:
        revived, dropped = (counted(counts[k], "row") for k in ("revived", "dropped"))
        print(f"dataset {name}: {revived} revived, {dropped} dropped")
    if left:
        here.talk.say(f"{counted(left, 'row')} have stages to go through")
    here.talk.next(
        f"curate resume {name} -o clips.csv" if left else f"curate export {name} -o clips.csv"
    )


def _changed(opened: Opened, config: Any, sets: list[str]) -> Any:
    """The pipeline with other filters. Raises UsageError, ConfigError, FilterError,
    PipelineChanged.
    """
    from curate.cli.pipeline import check, differences, only_filters_differ, resolve
    from curate.configs.errors import PipelineChanged, UsageError
    from curate.configs.pipeline import override, parse
    from curate.tasks.registry import stages as catalog

    if not config and not sets and opened.dataset.refiltering:
        return opened.pipeline
    if not config and not sets:
        raise UsageError(
            what="Say what changes: --set FILTER.where='…' or --config FILE. See: curate filter"
        )
    frozen = opened.pipeline.frozen()
    if config:
        asked = resolve(config, sets, ready=False).pipeline
    else:  # as it is: a stage that was installed since does not join
        asked = parse(
            override(frozen, sets), catalog(), f"the pipeline of dataset {opened.dataset.name}"
        )
        check(asked, ready=False)
    new = asked.frozen()
    if not only_filters_differ(frozen, new):
        stages = [
            d
            for d in differences(frozen, new)
            if d.split()[0].split(".")[0] in _stage_names(frozen, new)
        ]
        raise PipelineChanged(
            source="given",
            name=opened.dataset.name,
            what=", ".join(stages) or "the order of stages",
        )
    return asked


def _stage_names(*pipelines: list[dict[str, Any]]) -> set[str]:
    return {step["stage"] for steps in pipelines for step in steps if "stage" in step}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("filter", rich_help_panel=options.ROWS)(filter_)
    app.command(rich_help_panel=options.ROWS)(refilter)
