"""`curate stages`: the stages there are, their options and columns."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from curate.cli.shared.options import Json, stage_names
from curate.cli.shared.output import emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import ConfigError, CurateError, UsageError
from curate.configs.pipeline import hint
from curate.configs.schema import describe_options
from curate.tasks.registry import StageClass, stages_in_order
from curate.tasks.registry import stages as stages_by_name

SPARE = ("batch_size", "level", "queue", "columns")
COLUMNS = ("stage", "level", "queue", "batch_size", "available", "columns")


def stages(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Show the options of this stage.", autocompletion=stage_names
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the stages, or the options and columns of one.

    Example:
      curate stages
      curate stages split
    """
    session = Session.of(ctx)
    if name:
        _print_stage(session, name, as_json)
        return
    rows = [stage_json(session, stage) for stage in stages_in_order()]
    if not as_json:
        rows = [row | {"columns": ", ".join(c["column"] for c in row["columns"])} for row in rows]
    emit(rows, as_json, None if as_json else COLUMNS, SPARE)
    session.next(("stages", rows[-1]["stage"]))


def stage_json(session: Session, stage: StageClass) -> dict[str, Any]:
    """A stage as JSON: where it runs, whether it can run on this host, and its columns."""
    from curate.tasks.models.verify import missing  # imports NumPy, which the help does not need

    options = stage.Options()
    available = "yes"
    try:
        stage.check(options)
    except ConfigError:  # an option that has no default
        pass
    except CurateError as error:
        available = f"no: {error}"
    if available == "yes" and missing(stage.models(options), session.settings.model_folder):
        available = "no: weights are missing, see: `curate models list`"
    paragraph = inspect.cleandoc(stage.__doc__ or "").partition("\n\n")[0]
    columns = [
        {"column": n, "type": c.kind, "range": c.range, "better": c.better, "description": c.doc}
        for n, c in {**stage.columns, **stage.own_columns}.items()
    ]
    return {
        "stage": stage.name, "level": stage.level, "queue": options.queue,
        "batch_size": options.batch_size, "available": session.advise(available),
        "description": " ".join(paragraph.split()), "columns": columns,
    }  # fmt: skip


def _print_stage(session: Session, name: str, as_json: bool) -> None:
    """Print the options and columns of a stage. Raises UsageError when there is no such stage."""
    catalog = stages_by_name()
    if name not in catalog:
        raise UsageError(what=f"there is no stage {name}; {hint(name, catalog)}")
    stage = catalog[name]
    row = stage_json(session, stage) | {"options": describe_options(stage.Options)}
    if as_json:
        emit_json(row)
        return
    print(f"{row['stage']}: {row['description']}")
    print(f"level {row['level']}, queue {row['queue']}, available: {row['available']}\n")
    emit(row["options"], False)
    if row["columns"]:
        print()
        emit(row["columns"], False)
