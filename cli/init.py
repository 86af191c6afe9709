"""`curate init`: a pipeline file to begin with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared.options import Config, Sets
from curate.cli.shared.pipeline_file import pipeline_file
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.presets import DEFAULT_FILE
from curate.worker.session.pipelines import resolve


def init(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The file to write; - for stdout.")
    ] = Path("pipeline.yaml"),
    config: Config = None,
    sets: Sets = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented pipeline file with every option, to be edited.

    The same as: curate config --yaml > FILE

    Example:
      curate init
      curate init scored.yaml --config scores.yaml
    """
    session = Session.of(ctx)
    source = config or DEFAULT_FILE
    text = pipeline_file(resolve(config, sets or (), ready=False), f"Made from {source.name}.")
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(what=f"{file} is there already; --force replaces it") from None
    except OSError as error:
        raise UsageError(what=f"{file} cannot be written: {error.strerror or error}") from None
    print(f"{file} written; edit it")
    session.next(("config", "--config", str(file)))
