"""Arguments and options that several commands share, and what the shell completes for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.session import Session
from curate.configs.errors import CurateError, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import LEVELS, Level
from curate.tasks.registry import stages

if TYPE_CHECKING:
    from curate.db.datasets import Dataset


def stage_names(incomplete: str) -> list[str]:
    """Names of stages, for shell completion."""
    return [name for name in sorted(stages()) if name.startswith(incomplete)]


def dataset_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of datasets, for shell completion; none when the database cannot be read."""
    return [d.name for d in _datasets(ctx) if d.name.startswith(incomplete)]


def _datasets(ctx: typer.Context) -> list[Dataset]:
    """All datasets, for shell completion; none when the database cannot be read."""
    # not loaded by commands that need no database
    from curate.db.datasets import all_datasets
    from curate.worker.session.database import open_database

    try:
        return all_datasets(open_database(Session(home=ctx.find_root().params.get("home"))))
    except Exception:  # noqa: BLE001  a message would end up in the command line
        return []


def column_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of columns that the last word begins, for shell completion: those of the dataset named
    before, or else of the newest one.
    """
    from curate.db.export import available
    from curate.worker.session.pipelines import pipeline_of

    known = _datasets(ctx)
    words = ctx.params.values()
    given = {w for word in words for w in (word if isinstance(word, list) else [word])}
    named = [d for d in known if d.name in given] or known[-1:]
    try:
        columns = available(pipeline_of(named[0]) if named else Pipeline(()))
    except CurateError:
        return []
    before, word = re.fullmatch(r"(.*?)(\w*)", incomplete, re.DOTALL).groups()  # type: ignore[union-attr]
    return [before + name for name in sorted(columns) if name.startswith(word)]


def row_id(text: str) -> int:
    """The id that a word says. Raises UsageError for what is no number."""
    if not re.fullmatch(r"\s*\d{1,18}\s*", text, re.ASCII):
        ids = "See the ids with: `curate export --columns clip_id,path`"
        raise UsageError(what=f"{text!r} is no id, which is a whole number. {ids}")
    return int(text)


def level_of(level: str) -> Level:
    """The level of a --level option. Raises UsageError for any other word."""
    if level not in LEVELS:
        raise UsageError(what=f"--level {level}: it is clip or video")
    return "video" if level == "video" else "clip"


def _there(ctx: typer.Context, sources: list[str]) -> list[str]:
    """The sources, before a missing option is complained of. Raises NoSuchFile."""
    from curate.tasks.inputs.find import check_there  # imports pydantic

    if not ctx.resilient_parsing:
        for source in sources:
            check_there(source)
    return sources


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Folder, file, glob, URL, or a CSV or Parquet with a column path.",
        callback=_there,
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATASET]", help="Dataset; the newest if left out.", autocompletion=dataset_names
    ),
]
OfDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Dataset; the newest if left out.", autocompletion=dataset_names
    ),
]
Address = Annotated[str, typer.Option(help="Address to listen on.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help="A name that browsers reach it by, such as that of a proxy; repeatable.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Pipeline YAML; the packaged default if left out."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="STEP.OPTION=VALUE", help="Change one option of a step; may be repeated."
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", help="Name of the dataset; the folder's name if left out.")
]
Images = Annotated[
    bool,
    typer.Option("--images", help="Still images beside videos join too; else only videos do."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RowLevel = Annotated[
    str,
    typer.Option(
        "--level", help="Whether rows are clips or videos.", autocompletion=lambda: list(LEVELS)
    ),
]
FailedStage = Annotated[
    str | None, typer.Option("--stage", help="Only this stage.", autocompletion=stage_names)
]
ErrorClass = Annotated[
    str | None, typer.Option("--error", metavar="CLASS", help="Only this kind of error.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="CSV or Parquet to write; -: CSV on stdout."
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, max=1024, help="Worker processes; the number of cores if left out."
    ),
]
Where = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="PREDICATE",
        help="Only clips for which this SQL is true.",
        autocompletion=column_names,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="A,B,...",
        help="Write these columns instead of the usual; may be repeated.",
        autocompletion=column_names,
    ),
]
Sort = Annotated[
    list[str] | None,
    typer.Option(
        "--sort",
        metavar="'A desc,B'",
        help="Order of the rows; by video if left out.",
        autocompletion=column_names,
    ),
]
