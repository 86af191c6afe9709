"""`curate datasets`: all datasets of a home, and what becomes of one for good."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from curate.cli.shared.options import DatasetName, Json, dataset_names
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.own_files import files_of_videos, folder_of, is_own_folder, named_as_clips
from curate.cli.shared.session import Session
from curate.configs.errors import AtWork, ConfigError, NoDatasets, UsageError
from curate.configs.shown import bytes_text, counted
from curate.db import deleting
from curate.db.datasets import Dataset, all_datasets, pick, rename, video_ids
from curate.db.reports.overview import condition, view_dataset
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.clip_files import sizes_below
from curate.tasks.storage.clip_paths import archive
from curate.tasks.storage.removal import Removed, remove_empty_folders, remove_files
from curate.worker.dispatcher import expire_rows_of_dead
from curate.worker.session.database import open_database, open_dataset
from curate.worker.session.enqueuing import check_name
from curate.worker.session.folders import mark_of, refuse_foreign
from curate.worker.session.pipelines import pipeline_of

COLUMNS = ("dataset", "state", "videos", "clips", "kept", "failed", "size", "made")
SPARE = ("made", "failed", "videos")  # a narrow terminal leaves these out, the first one first

NoSize = Annotated[
    bool,
    typer.Option("--no-size", help="Do not add up file sizes, which takes long for many files."),
]
OneDataset = Annotated[
    str, typer.Argument(metavar="DATASET", help="Dataset.", autocompletion=dataset_names)
]

datasets = typer.Typer(invoke_without_command=True)


@datasets.callback()
def every(ctx: typer.Context, no_size: NoSize = False, as_json: Json = False) -> None:
    """List all datasets: videos, clips, kept and failed ones, state, size on disk, when made.

    States: running: rows are at work. waiting: nobody works on its rows. done: nothing is left. has
    failed: nothing is left, and rows failed. Others: paused, cancelled, refiltering, deleting,
    empty. size adds up clips and samples on this host's disks, without what lies at URLs.

    Example:
      curate datasets
      curate datasets --no-size --json
      curate datasets info videos
      curate datasets delete videos
    """
    if ctx.invoked_subcommand is None:
        _list(Session.of(ctx), no_size, as_json)


@datasets.command("list")
def list_(ctx: typer.Context, no_size: NoSize = False, as_json: Json = False) -> None:
    """List all datasets, as curate datasets does.

    Example:
      curate datasets list
    """
    _list(Session.of(ctx), no_size, as_json)


@datasets.command()
def info(ctx: typer.Context, dataset: DatasetName = None, as_json: Json = False) -> None:
    """Show one dataset: where its videos and files are, its stages, rows by status, bytes.

    Example:
      curate datasets info videos
    """
    session = Session.of(ctx)
    engine = open_database(session)
    found = pick(engine, dataset)
    with Counter(session.console, "files looked at") as counter:
        row = _row(session, engine, found, _Seen(counter.show))
    view = view_dataset(engine, found.id)
    totals = view.totals
    row |= {
        "dropped": totals.dropped, "unfinished": totals.active,
        "clips_folder": to_text(str(folder_of(session.settings, found))),
        "samples_folder": to_text(str(session.settings.samples)),
        "stages": [step["stage"] for step in found.frozen if "stage" in step],
        "filters": [step["filter"] for step in found.frozen if "filter" in step],
    }  # fmt: skip
    if as_json:  # times are unix seconds
        emit_json(row)
        return
    row["made"] = _minute(row.pop("made_at"))
    for name in ("clips_bytes", "samples_bytes"):
        size = row.pop(name)
        row[name.replace("_bytes", "_size")] = None if size is None else bytes_text(size)
    row |= {name: ", ".join(row[name]) for name in ("stages", "filters")}
    emit([{"what": name.replace("_", " "), "value": str(row[name])} for name in row], False)
    session.next(("status", found.name), ("datasets", "delete", found.name))


@datasets.command("rename")
def rename_(
    ctx: typer.Context,
    dataset: OneDataset,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    as_json: Json = False,
) -> None:
    """Give a dataset another name; its files stay where they are.

    Example:
      curate datasets rename videos pets
    """
    session = Session.of(ctx)
    check_name(name, "NAME")
    opened = open_dataset(session, dataset)
    rename(opened.engine, opened.dataset, name)
    folder = to_text(str(folder_of(session.settings, opened.dataset)))
    if as_json:
        emit_json({"dataset": name, "before": dataset, "clips_folder": folder})
    else:
        print(f"dataset {dataset} is called {name} now; its clips stay in {folder}")
    session.next(("status", name))


@datasets.command()
def delete(
    ctx: typer.Context,
    dataset: OneDataset,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a dataset: its rows, the files of its clips, and its samples. Sources stay.

    It shows what that is, and asks. A delete that was interrupted is finished by the same command.

    Example:
      curate datasets delete videos
      curate datasets delete videos --yes
    """
    session = Session.of(ctx)
    engine = open_database(session)
    found = pick(engine, dataset)
    session.dataset = found.name
    refuse_foreign(session.settings, found)
    with suppress(ConfigError):  # stages of another version of curate; their leases end in time
        expire_rows_of_dead(engine, found.id, pipeline_of(found))
    with Counter(session.console, "files looked at") as counter:
        row = _row(session, engine, found, _Seen(counter.show))
    _agree(session, found, row, yes)
    if at_work := deleting.mark_deleting(engine, found):
        again = f"`curate datasets delete {found.name}`"
        raise AtWork(rows=counted(at_work, "row"), name=found.name, again=again)
    removed = _delete(session, engine, found)
    if as_json:
        rows = {name: row[name] for name in ("videos", "clips")}
        emit_json({"dataset": found.name, **rows, "files": removed.files, "bytes": removed.bytes})
    else:
        files = f"{counted(removed.files, 'file')} ({bytes_text(removed.bytes)})"
        rows_text = f"{counted(row['videos'], 'video')}, {counted(row['clips'], 'clip')}"
        print(f"dataset {found.name}: deleted, with {rows_text} and {files}")
    session.next(("datasets",))


def _agree(session: Session, dataset: Dataset, row: dict[str, Any], yes: bool) -> None:
    """Say what a delete takes away and ask, unless `yes`. Raises UsageError when nobody can be
    asked; exits with 1 when it is not to be.
    """
    sizes = [row[name] for name in ("clips_bytes", "samples_bytes") if row[name] is not None]
    files = bytes_text(sum(sizes)) if sizes else "of a size that only the store knows"
    folder = to_text(str(folder_of(session.settings, dataset)))
    session.console.say(
        f"dataset {dataset.name}: {counted(row['videos'], 'video')},"
        f" {counted(row['clips'], 'clip')} ({row['kept']} kept), files: {files},"
        f" in {folder} and {to_text(str(session.settings.samples))}."
        f" Sources stay: {dataset.root}"
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            what="Nobody can be asked here, so nothing was deleted. If it is to be: "
            f"`curate datasets delete {dataset.name} --yes`"
        )
    if not typer.confirm("Delete it for good?", err=True):
        session.console.say("nothing was deleted")
        raise typer.Exit(1)


def _delete(session: Session, engine: Engine, dataset: Dataset) -> Removed:
    """Delete files before the rows that name them, so that after a kill the rest is found."""
    settings, removed = session.settings, Removed()
    videos, done = deleting.count_videos(engine, dataset.id), 0
    folder = folder_of(settings, dataset)
    own_folder = is_own_folder(engine, folder)
    with Counter(session.console, "videos deleted") as counter:
        for ids in deleting.video_groups(engine, dataset.id):
            removed += remove_files(files_of_videos(engine, settings, dataset, ids, own_folder))
            deleting.delete_clips(engine, ids)
            done += len(ids)
            counter.show(done, videos)
        # clips that no row names: of a worker that was killed, of a source that was replaced
        for named in named_as_clips(engine, dataset, folder):
            removed += remove_files(file.path for file in named)
    remove_files([to_text(str(mark_of(settings, dataset)))])
    if own_folder:
        remove_empty_folders(folder)
    deleting.delete_dataset(engine, dataset.id)
    return removed


def _list(session: Session, no_size: bool, as_json: bool) -> None:
    try:
        engine = open_database(session)
        known = all_datasets(engine)
    except NoDatasets:
        known = []
    with Counter(session.console, "files looked at") as counter:
        seen = None if no_size else _Seen(counter.show)
        rows = [_row(session, engine, dataset, seen) for dataset in known]
    if as_json:  # times are unix seconds
        emit(rows, as_json=True)
        return
    for row in rows:
        parts = [row[name] for name in ("clips_bytes", "samples_bytes") if row[name] is not None]
        row["size"] = bytes_text(sum(parts)) if parts else None
        row["made"] = _minute(row["made_at"])
    if rows:
        emit(rows, False, COLUMNS, SPARE)
        session.next(("status", rows[-1]["dataset"]))
    else:
        session.console.say("there is no dataset yet")
        session.next(("run", "--help"))


def _row(session: Session, engine: Engine, dataset: Dataset, seen: _Seen | None) -> dict[str, Any]:
    """What a listing tells of a dataset; with `seen`, also the bytes of its files on this host."""
    view = view_dataset(engine, dataset.id)
    row: dict[str, Any] = {
        "dataset": dataset.name, "state": condition(view, bool(dataset.refiltering)),
        "videos": view.totals.videos, "clips": view.totals.clips,
        "kept": view.totals.kept, "failed": view.totals.failed,
        "clips_bytes": None, "samples_bytes": None, "made_at": dataset.created_at,
        "root": dataset.root,
    }  # fmt: skip
    clips, samples = folder_of(session.settings, dataset), session.settings.samples
    if seen and isinstance(clips, Path):
        row["clips_bytes"] = seen.sum(sizes_below(clips))
    if seen and isinstance(samples, Path):
        archives = (archive(samples, video) for video in video_ids(engine, dataset.id))
        row["samples_bytes"] = seen.sum(map(_size, archives))
    return row


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


class _Seen:
    """Adds up sizes, and tells how many files it has seen."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._files = 0

    def sum(self, sizes: Iterator[int]) -> int:
        total = 0
        for size in sizes:
            total += size
            self._files += 1
            self._report(self._files)
        return total


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  much faster
    except OSError:
        return 0
