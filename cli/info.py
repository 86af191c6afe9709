"""`curate stages` and `curate config`: what there is, and what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import Config, Json, Sets, stage_names
from curate.cli.session import session


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
    from curate.cli.output import emit

    here = session(ctx)
    model_folder = here.settings.model_folder
    if name:
        _one_stage(name, model_folder, as_json)
        return
    rows = [described(stage, model_folder) for stage in all_stages()]
    for row in rows if not as_json else ():
        row["columns"] = ", ".join(c["column"] for c in row["columns"])
    emit(
        rows,
        as_json,
        None if as_json else ("stage", "level", "queue", "batch_size", "available", "columns"),
    )
    here.talk.next("curate stages NAME")


def all_stages() -> list[Any]:
    """Stage classes in the order of the packaged pipelines, then the others by name."""
    from curate.cli.pipeline import in_order

    return in_order()


def described(stage: Any, model_folder: Path) -> dict[str, Any]:
    """A stage as JSON: level, queue, batch size, whether it can run here, columns with range and
    direction.
    """
    options_ = stage.Options()
    lines = (stage.__doc__ or "").strip().splitlines()
    return {
        "stage": stage.name, "level": stage.level, "queue": options_.queue, "batch_size": options_.batch_size,
        "available": _availability(stage, options_, model_folder), "description": lines[0] if lines else "",
        "columns": [
            {"column": n, "type": c.kind, "range": c.range, "better": c.better, "description": c.doc}
            for n, c in stage.columns.items()
        ],
    }  # fmt: skip


def _availability(stage: Any, options_: Any, model_folder: Path) -> str:
    from curate.configs.errors import ConfigError, CurateError
    from curate.tasks.models.verify import missing

    try:
        stage.check(options_)
    except ConfigError:  # an option that has no default
        pass
    except CurateError as error:
        return f"no: {error}"
    lacking = missing(stage.models(options_), model_folder)
    return "no: weights are missing, see: curate models list" if lacking else "yes"


def _one_stage(name: str, model_folder: Path, as_json: bool) -> None:
    from curate.cli.output import emit, emit_json
    from curate.configs.schema import describe_options

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
    import difflib

    from curate.configs.errors import UsageError
    from curate.tasks.registry import stages as catalog

    found = catalog()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, 1)
    hint = f"did you mean {near[0]}?" if near else f"the stages are {', '.join(sorted(found))}"
    raise UsageError(what=f"there is no stage {name}; {hint}")


def config(
    ctx: typer.Context,
    file: Config = None,
    sets: Sets = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print a pipeline file with every option.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show every setting and option in force, and where each comes from.

    Example:
      curate config --set split.max_seconds=10
      curate config --yaml > pipeline.yaml
    """
    from curate.cli.output import emit, emit_json
    from curate.cli.pipeline import resolve
    from curate.configs.settings import sources

    here = session(ctx)
    resolved = resolve(file, sets or (), ready=False)
    if as_yaml:
        import yaml

        print(
            yaml.safe_dump(
                {"pipeline": _full_steps(resolved)}, sort_keys=False, allow_unicode=True
            ),
            end="",
        )
        return
    settings = [
        {k: v for k, v in row.items() if k != "description"} for row in sources(here.settings)
    ]
    rows = [{"option": o, "value": v, "source": s} for o, v, s in _values(resolved)]
    if as_json:
        emit_json({"settings": settings, "pipeline": rows})
        return
    emit(settings, False)
    print()
    emit([r | {"value": "null" if r["value"] is None else str(r["value"])} for r in rows], False)
    here.talk.next("curate config --yaml > pipeline.yaml")


def _full_steps(resolved: Any) -> list[dict[str, Any]]:
    """The steps with every option, disabled ones too, so that the file says all there is to say."""
    from curate.tasks.registry import stages as catalog

    full = []
    for step in resolved.steps:
        if "stage" in step:
            given = {k: v for k, v in step.items() if k != "stage"}
            step = {
                "stage": step["stage"],
                **catalog()[step["stage"]].Options(**given).model_dump(mode="json"),
            }
        full.append(dict(step))
    return full


def _values(resolved: Any) -> list[tuple[str, Any, str]]:
    rows = []
    for step in _full_steps(resolved):
        name = str(step.get("stage") or step.get("filter"))
        for option, value in step.items():
            if option not in ("stage", "filter"):
                rows.append(
                    (f"{name}.{option}", value, resolved.origin.get((name, option), "default"))
                )
    return rows


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (stages, config):
        app.command(rich_help_panel=options.LOOK)(command)
