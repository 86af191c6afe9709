"""`curate refilter`: other filters, without scoring again."""

from __future__ import annotations

from typing import Any

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.options import Config, DatasetName, Json, Sets
from curate.cli.shared.output import Counter, counted, emit_json
from curate.cli.shared.pipelines import check, differences, only_filters_differ, resolve
from curate.cli.shared.session import Session
from curate.configs.errors import PipelineChanged, UsageError
from curate.configs.pipeline import override, parse
from curate.db.refilter import replace_pipeline
from curate.db.reports.counts import count_unfinished
from curate.tasks.registry import stages as catalog


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
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    pipeline = _changed(opened, config, sets or [])
    with Counter(session.console, "rows judged") as counter:
        counts = replace_pipeline(opened.engine, opened.dataset, pipeline, counter.show)
    left = count_unfinished(opened.engine, opened.dataset.id)
    name = opened.dataset.name
    if as_json:
        emit_json({"dataset": name, **counts, "unfinished": left})
    else:
        revived, dropped = (counted(counts[k], "row") for k in ("revived", "dropped"))
        print(f"dataset {name}: {revived} revived, {dropped} dropped")
    if left:
        session.console.say(f"{counted(left, 'row')} have stages to go through")
    session.console.next(
        f"curate resume {name} -o clips.csv" if left else f"curate export {name} -o clips.csv"
    )


def _changed(opened: OpenDataset, config: Any, sets: list[str]) -> Any:
    """The pipeline with other filters. Raises UsageError, ConfigError, FilterError,
    PipelineChanged.
    """
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
