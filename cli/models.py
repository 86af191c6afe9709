"""`curate models`: which weights the stages need, whether they are there and right, and how to get
them.
"""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.shared.database import open_database
from curate.cli.shared.options import Config, Json, Sets
from curate.cli.shared.output import emit
from curate.cli.shared.pipelines import pipeline_of, resolve
from curate.cli.shared.session import Session
from curate.cli.shared.weights import Users, needed, state_of
from curate.configs.errors import ConfigError, NoDatasets, ServiceError, UsageError
from curate.db.datasets import all_datasets
from curate.tasks.models.catalog import CATALOG, Need, folder_of, how_to_get
from curate.tasks.models.trial_process import tried

if TYPE_CHECKING:
    from curate.configs.pipeline import Pipeline
    from curate.tasks.models.catalog import Kind, Need


models = typer.Typer(
    help="Weights of models: what is needed, what is there, how to get it.", no_args_is_help=True
)


Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def model_names(incomplete: str) -> list[str]:
    """Names of models, for shell completion."""
    return [name for name in CATALOG if name.startswith(incomplete)]


@models.command("list")
def list_models(
    ctx: typer.Context, config: Config = None, sets: Sets = None, as_json: Json = False
) -> None:
    """List the models that stages need: where they are looked for, whether they are there, licence,
    how to get them.

    Also those that the pipelines of datasets, or of --config, name.

    Example:
      curate models list
      curate models list --json
    """
    session = Session.of(ctx)
    wanted = needed([*_asked(config, sets or ()), *_of_datasets(session)])
    rows = [described(session, need, users) for need, users in wanted.items()]
    emit(
        rows,
        as_json,
        None if as_json else ("model", "state", "stages", "size_mb", "licence", "path", "get"),
    )
    session.console.next("curate models fetch NAME", "curate models check")


def _asked(config: Path | None, sets: Sequence[str]) -> list[Pipeline]:
    return [resolve(config, sets, ready=False).pipeline] if config or sets else []


def _of_datasets(session: Session) -> Iterator[Pipeline]:
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


def described(session: Session, need: Need, users: Users) -> dict[str, Any]:
    """One model as `list` shows it. `state` is present, missing, or wrong with the reason in `why`."""
    folder = folder_of(need.model, session.settings.model_folder)
    known = CATALOG.get(need.model)
    state, why = state_of(session, need)
    size = _size(folder) if state != "missing" else known.size if known else None
    return {
        "model": need.model, "kind": need.kind, "state": state if not why else f"{state}: {why}",
        "what": known.what if known else "", "stages": ", ".join(users), "path": str(folder),
        "size_mb": None if size is None else round(size / 1e6, 1),
        "licence": known.licence if known else "", "page": known.page if known else "",
        "get": "" if state == "present" else how_to_get(need, folder),
    }  # fmt: skip


def _size(folder: Path) -> int:
    files = (p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else [folder]
    return sum(p.stat().st_size for p in files)


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
    """Load each model and run one batch on the device; exits with 4 when one cannot be used.

    Each in a process of its own, so that seconds and memory are those of the one model.

    Example:
      curate models check
      curate models check clip-vit-large-patch14
      curate models check /data/my-head
    """
    session = Session.of(ctx)
    rows: list[dict[str, Any]] = []
    for need in _chosen(session, names or ()):
        state, why = state_of(session, need)
        row = {"model": need.model, "result": state, "detail": why}
        if state == "present":
            session.console.say(f"{need.model}: loading, and running one batch")
            row |= tried(need, session.settings)
        rows.append(row)
    emit(
        rows,
        as_json,
        None if as_json else ("model", "result", "seconds", "cpu_seconds", "memory_mb", "detail"),
    )
    if any(row["result"] == "wrong" or (names and row["result"] == "missing") for row in rows):
        raise typer.Exit(4)
    session.console.next("curate run VIDEOS -o clips.csv")


def _chosen(session: Session, names: Sequence[str]) -> list[Need]:
    """The models of these names, or all that are known. A folder of another name is what its
    tensors say.

    Raises UsageError for a name that is neither known nor a folder, BadModel for a folder of no
    model.
    """
    known = {need.model: need for need in needed(_of_datasets(session))}
    for name in names:
        if name not in known:
            folder = folder_of(name, session.settings.model_folder)
            if folder.is_dir():
                known[name] = Need(_kind(folder), name)
                continue
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise UsageError(what=f"there is no model {name}; {hint}")
    return [known[name] for name in names or known]


def _kind(folder: Path) -> Kind:
    from curate.tasks.models.convert import kind_of

    return kind_of(folder)


Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Published weights: .pth, .pt, .bin, .ckpt; for LPIPS its two files.",
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
    sources: Sources,
    to: To = "",
    tokenizer: Tokenizer = None,
    force: Force = False,
) -> None:
    """Turn published weights by torch or MindSpore into a folder that stages load. Nothing in them
    is executed.

    Example:
      curate models convert sac+logos+ava1-l14-linearMSE.pth
      curate models convert ViT-L-14.pt --tokenizer bpe_simple_vocab_16e6.txt.gz
      curate models convert vgg16-397923af.pth vgg.pth
    """
    from curate.tasks.models.convert import Conversion
    from curate.tasks.models.convert import convert as make

    session = Session.of(ctx)
    kind, folder = make(Conversion(sources, session.settings.model_folder, to, tokenizer, force))
    print(f"{folder}: model of kind {kind}")
    session.console.next(f"curate models check {shlex.quote(to or folder.name)}")


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
    """Download a model's published files, check them, and convert them where needed. Goes on where
    it stopped.

    HF_ENDPOINT names a mirror of huggingface.co.

    Example:
      curate models fetch aesthetic-l14
      curate models fetch clip-vit-large-patch14 --from https://mirror.example/clip
    """
    from curate.tasks.models.fetch import HUB, FetchRequest
    from curate.tasks.models.fetch import fetch as get

    session = Session.of(ctx)
    if name not in CATALOG:
        raise UsageError(
            what=f"nobody publishes a model {name} that curate knows; known: {', '.join(CATALOG)}"
        )
    hub = os.environ.get("HF_ENDPOINT") or HUB
    with bar(session.quiet) as progress:
        folder = get(
            FetchRequest(CATALOG[name], session.settings.model_folder, mirror, hub, force, progress)
        )
    print(folder)
    session.console.next(f"curate models check {name}")


@contextmanager
def bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar a file on stderr, when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name)
            shown.update(tasks[name], completed=done, total=total or None)

        yield progress
