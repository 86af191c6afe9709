"""`curate datasets`: all datasets of a home."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli.shared.database import open_database
from curate.cli.shared.options import Json
from curate.cli.shared.output import Counter, bytes_text, emit
from curate.cli.shared.session import Session
from curate.configs.errors import NoDatasets
from curate.db.datasets import all_datasets, video_ids
from curate.db.reports.overview import condition, view_dataset
from curate.tasks.storage.clip_files import sizes_below
from curate.tasks.storage.locations import below
from curate.tasks.video.samples import archive

COLUMNS = ("dataset", "state", "videos", "clips", "kept", "failed", "size", "made")
SPARE = ("made", "failed", "videos")  # a narrow terminal leaves these out, the first one first


def datasets(
    ctx: typer.Context,
    no_size: Annotated[
        bool,
        typer.Option(
            "--no-size", help="Do not add up file sizes, which takes long for many files."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List all datasets: videos, clips, kept and failed ones, state, size on disk, when made.

    States: running: rows are at work. waiting: nobody works on its rows. done: nothing is left. has
    failed: nothing is left, and rows failed. Others: paused, cancelled, refiltering, empty. size
    adds up clips and samples on this host's disks, without what lies at URLs.

    Example:
      curate datasets
      curate datasets --no-size --json
    """
    session = Session.of(ctx)
    rows: list[dict[str, Any]] = []
    try:
        engine = open_database(session)
        known = all_datasets(engine)
    except NoDatasets:
        known = []
    with Counter(session.console, "files looked at") as counter:
        seen = _Seen(counter.show)
        for dataset in known:
            view = view_dataset(engine, dataset.id)
            row: dict[str, Any] = {
                "dataset": dataset.name, "state": condition(view, bool(dataset.refiltering)),
                "videos": view.totals.videos, "clips": view.totals.clips,
                "kept": view.totals.kept, "failed": view.totals.failed,
                "clips_bytes": None, "samples_bytes": None, "made_at": dataset.created_at,
                "root": dataset.root,
            }  # fmt: skip
            rows.append(row)
            clips, samples = session.settings.clips, session.settings.samples
            if not no_size and isinstance(clips, Path):
                row["clips_bytes"] = seen.sum(sizes_below(below(clips, dataset.folder)))
            if not no_size and isinstance(samples, Path):
                archives = (archive(samples, video) for video in video_ids(engine, dataset.id))
                row["samples_bytes"] = seen.sum(map(_size, archives))
    if as_json:  # times are unix seconds
        emit(rows, as_json=True)
        return
    for row in rows:
        parts = [row[name] for name in ("clips_bytes", "samples_bytes") if row[name] is not None]
        row["size"] = bytes_text(sum(parts)) if parts else None
        row["made"] = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["made_at"]))
    if rows:
        emit(rows, False, COLUMNS, SPARE)
        session.next(("status", rows[-1]["dataset"]))
    else:
        session.console.say("there is no dataset yet")
        session.next(("run", "--help"))


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
