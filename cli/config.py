"""`curate config`: every setting and option in force, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from curate.cli.shared.options import Config, Json, Sets
from curate.cli.shared.output import emit, emit_json
from curate.cli.shared.pipelines import resolve
from curate.cli.shared.session import Session
from curate.configs.settings import sources
from curate.tasks.registry import stages as catalog


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
    session = Session.of(ctx)
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
        {k: v for k, v in row.items() if k != "description"} for row in sources(session.settings)
    ]
    rows = [{"option": o, "value": v, "source": s} for o, v, s in _values(resolved)]
    if as_json:
        emit_json({"settings": settings, "pipeline": rows})
        return
    emit(settings, False)
    print()
    emit([r | {"value": "null" if r["value"] is None else str(r["value"])} for r in rows], False)
    session.console.next("curate config --yaml > pipeline.yaml")


def _full_steps(resolved: Any) -> list[dict[str, Any]]:
    """The steps with every option, disabled ones too, so that the file says all there is to say."""
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
