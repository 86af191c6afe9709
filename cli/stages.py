"""`curate stages`: the stages there are, their options and columns."""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli.shared.options import Json, stage_names
from curate.cli.shared.output import emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import ConfigError, CurateError, UsageError
from curate.configs.schema import describe_options
from curate.tasks.registry import stages as catalog


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
    from curate.cli.shared.pipelines import in_order  # imports SQLAlchemy

    session = Session.of(ctx)
    model_folder = session.settings.model_folder
    if name:
        _one_stage(name, model_folder, as_json)
        return
    rows = [described(stage, model_folder) for stage in in_order()]
    for row in rows if not as_json else ():
        row["columns"] = ", ".join(c["column"] for c in row["columns"])
    emit(
        rows,
        as_json,
        None if as_json else ("stage", "level", "queue", "batch_size", "available", "columns"),
    )
    session.console.next("curate stages NAME")


def described(stage: Any, model_folder: Path) -> dict[str, Any]:
    """A stage as JSON: level, queue, batch size, whether it can run here, columns with range and
    direction.
    """
    options_ = stage.Options()
    first_paragraph = inspect.cleandoc(stage.__doc__ or "").partition("\n\n")[0]
    return {
        "stage": stage.name, "level": stage.level, "queue": options_.queue, "batch_size": options_.batch_size,
        "available": _availability(stage, options_, model_folder), "description": " ".join(first_paragraph.split()),
        "columns": [
            {"column": n, "type": c.kind, "range": c.range, "better": c.better, "description": c.doc}
            for n, c in stage.columns.items()
        ],
    }  # fmt: skip


def _availability(stage: Any, options_: Any, model_folder: Path) -> str:
    from curate.tasks.models.verify import missing  # imports NumPy

    try:
        stage.check(options_)
    except ConfigError:  # an option that has no default
        pass
    except CurateError as error:
        return f"no: {error}"
    lacking = missing(stage.models(options_), model_folder)
    return "no: weights are missing, see: curate models list" if lacking else "yes"


def _one_stage(name: str, model_folder: Path, as_json: bool) -> None:
    stage = _find(name)
    row = described(stage, model_folder) | {"options": describe_options(stage.Options)}
    if as_json:
        emit_json(row)
        return
    print(f"{row['stage']}: {row['description']}")
    print(f"level {row['level']}, queue {row['queue']}, available: {row['available']}\n")
    emit(row["options"], False)
    if row["columns"]:
        print()
        emit(row["columns"], False)


def _find(name: str) -> Any:
    found = catalog()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, 1)
    hint = f"did you mean {near[0]}?" if near else f"the stages are {', '.join(sorted(found))}"
    raise UsageError(what=f"there is no stage {name}; {hint}")
