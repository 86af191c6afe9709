"""`curate config`: every setting and option in force, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import yaml

from curate.cli.shared.options import Config, Json, Sets
from curate.cli.shared.output import emit, emit_json
from curate.cli.shared.pipelines import Resolved, resolve
from curate.cli.shared.session import Session
from curate.configs.differences import step_name
from curate.configs.settings import sources
from curate.tasks.registry import stages


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
    steps = _full_steps(resolved)
    if as_yaml:
        print(yaml.safe_dump({"pipeline": steps}, sort_keys=False, allow_unicode=True), end="")
        return
    settings = [
        {k: v for k, v in row.items() if k != "description"} for row in sources(session.settings)
    ]
    values = [
        (step_name(step), option, value)
        for step in steps
        for option, value in step.items()
        if option not in ("stage", "filter")
    ]
    rows = [
        {"option": f"{n}.{o}", "value": v, "source": resolved.origin.get((n, o), "default")}
        for n, o, v in values
    ]
    if as_json:
        emit_json({"settings": settings, "pipeline": rows})
        return
    emit(settings, False)
    print()
    emit([r | {"value": "null" if r["value"] is None else str(r["value"])} for r in rows], False)
    session.console.next("curate config --yaml > pipeline.yaml")


def _full_steps(resolved: Resolved) -> list[dict[str, Any]]:
    """The steps with every option, disabled ones too, so that the file says all there is to say."""
    steps = []
    for step in resolved.steps:
        if "stage" not in step:
            steps.append(dict(step))
            continue
        name = step["stage"]
        given = {k: v for k, v in step.items() if k != "stage"}
        options = stages()[name].Options(**given).model_dump(mode="json")
        steps.append({"stage": name, **options})
    return steps
