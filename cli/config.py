"""`curate config`: every setting and option in force, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from curate.cli.shared.options import Config, DatasetName, Json, Sets
from curate.cli.shared.output import emit, emit_json
from curate.cli.shared.pipeline_file import full_steps, pipeline_file
from curate.cli.shared.session import Session
from curate.configs.differences import step_name
from curate.configs.errors import UsageError
from curate.configs.presets import presets
from curate.configs.settings import sources
from curate.worker.session.database import open_dataset
from curate.worker.session.pipelines import resolve, resolve_dataset


def config(
    ctx: typer.Context,
    dataset: DatasetName = None,
    file: Config = None,
    sets: Sets = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print a commented pipeline file with every option.")
    ] = False,
    list_presets: Annotated[
        bool, typer.Option("--presets", help="List the pipelines that come with curate.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show every setting and option in force, and where each comes from.

    Of a dataset that is named: its own pipeline, as refilter, redo and set have changed it.

    Example:
      curate config --set split.max_seconds=10
      curate config videos --yaml > pipeline.yaml
      curate config --presets
    """
    session = Session.of(ctx)
    if list_presets:
        _print_presets(session, as_json)
        return
    if dataset and file:
        raise UsageError(what="name a dataset or a file with --config, not both")
    sets = sets or []
    if dataset:
        title = f"The pipeline of dataset {dataset}"
        resolved = resolve_dataset(open_dataset(session, dataset).dataset, sets)
    else:
        title = f"The pipeline of {file}" if file else "The default pipeline"
        resolved = resolve(file, sets, ready=False)
    changed = "".join(f" --set {assignment}" for assignment in sets)
    title += f", with{changed}." if changed else "."
    if as_yaml:
        print(pipeline_file(resolved, title), end="")
        return
    settings = [
        {k: v for k, v in row.items() if k != "description"} for row in sources(session.settings)
    ]
    values = [
        (step_name(step), option, value)
        for step in full_steps(resolved)
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
    session.next(("config", *([dataset] if dataset else []), "--yaml"), ("init", "--help"))


def _print_presets(session: Session, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for path, about in presets().items():
        pipeline = resolve(path, ready=False).pipeline
        rows.append(
            {
                "preset": path.name, "about": about, "path": str(path),
                "stages": [step.name for step in pipeline.stages],
                "filters": [step.name for step in pipeline.filters],
            }
        )  # fmt: skip
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        print(f"{row['preset']}: {row['about']}\n    {', '.join(row['stages'])}")
    session.next(("config", "--config", rows[-1]["preset"], "--yaml"))
