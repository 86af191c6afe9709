"""`curate set`: an option that changes how a stage runs, and no score."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import Annotated

import typer

from curate.cli.shared.one_stage import find_step, with_options
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.differences import differences
from curate.configs.errors import ServiceError, UsageError
from curate.configs.names import did_you_mean
from curate.configs.pipeline import Pipeline
from curate.db.redo import set_pipeline
from curate.worker.session.database import open_dataset
from curate.worker.session.pipelines import check_ready


def set_(
    ctx: typer.Context,
    assignment: Annotated[
        str, typer.Argument(metavar="STAGE.OPTION=VALUE", help="The option and its new value.")
    ],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Change how a stage runs: queue, batch_size, pass_size, fill_seconds, time_limit, memory_mb.

    Of a stage that asks servers also: url, servers, key_variable, concurrency, per_minute, timeout,
    tries, wait, longest_wait, price, max_cost, offline.

    No row has to go back for it. Batches at work go on with what they started with.
    Other options change scores: see curate redo.

    Example:
      curate set cut.time_limit=3600
      curate set multi_caption.captioners.openai.url=http://HOST:8000/v1
    """
    session = Session.of(ctx)
    if dataset and "=" in dataset and "=" not in assignment:
        words = shlex.join((dataset, assignment))
        raise UsageError(what=f"the option comes before the dataset: `curate set {words}`")
    opened = open_dataset(session, dataset)
    stage, _, option = assignment.partition("=")[0].strip().partition(".")
    options = find_step(opened, stage).options
    if not options.changes_no_score(option.strip()):
        known = sorted(type(options).model_fields)
        what = f"{assignment}: what may change is {', '.join(options.change_no_score)}"
        if option.strip().partition(".")[0] in known:
            redo = f"curate redo {stage} DATASET --set {shlex.quote(assignment)}"
            what += f"; for one that changes scores: `{redo}`"
        else:
            near = did_you_mean(option.strip(), known)
            what = (
                f"stage {stage} has no option {option.strip()}{near}; see: `curate stages {stage}`"
            )
        raise UsageError(what=what)
    pipeline = with_options(opened, stage, [assignment])
    changes = differences(opened.pipeline.frozen(), pipeline.frozen())
    with suppress(ServiceError):  # what is missing here may be there where workers run
        check_ready(Pipeline((pipeline.by_name[stage],)))
    set_pipeline(opened.engine, opened.dataset, pipeline)
    if as_json:
        emit_json({"dataset": opened.name, "changed": changes})
    else:
        print(f"dataset {opened.name}: {', '.join(changes) or 'nothing changed'}")
    session.next(("retry", opened.name, "--stage", stage), ("resume", opened.name))
