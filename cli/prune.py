"""`curate prune`: files that nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from curate.cli.shared.one_stage import cut_changes
from curate.cli.shared.options import Json, dataset_names
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.own_files import (
    CHUNK,
    chunks,
    file_of_clip,
    files_of_videos,
    folder_of,
    is_own_folder,
    leftover_clips,
)
from curate.cli.shared.session import Session
from curate.configs.errors import AtWork, UsageError
from curate.configs.settings import Settings
from curate.configs.shown import bytes_text, counted
from curate.db.checking import file_writer, sources
from curate.db.datasets import all_datasets
from curate.db.deleting import clip_files, count_videos, known_sources
from curate.db.prune import dropped_with_files, forget_videos, rows_at_work, unneeded_samples
from curate.db.redo import give_up_files
from curate.tasks.inputs.files import fingerprint_now, is_absent, is_gone, is_same_file
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.clip_paths import archive
from curate.tasks.storage.part_files import abandoned_files
from curate.tasks.storage.removal import Removed, files_below, remove_files, sizes_of
from curate.worker.session.database import OpenDataset, open_all, open_database, open_dataset
from curate.worker.session.folders import refuse_foreign

_ARCHIVE = re.compile(r".*/(\d+)\.zip", re.DOTALL)

KINDS = ("dropped", "samples", "leftovers", "gone")  # what is found: see the command's help


@dataclass
class Found:
    """What there is of one kind, and how many videos go along."""

    what: str
    files: int = 0
    bytes: int = 0
    videos: int = 0
    example: str = ""

    def add(self, removed: Removed, example: str) -> None:
        """Count files."""
        self.files, self.bytes = self.files + removed.files, self.bytes + removed.bytes
        self.example = self.example or (example if removed.files else "")


def prune(
    ctx: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATASET]", help="Dataset; all if left out.", autocompletion=dataset_names
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "--delete", "-y", help="Remove what is found.")
    ] = False,
    gone: Annotated[
        bool, typer.Option("--gone", help="Also videos whose source is gone, rows and all.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find files that nobody needs, and with --yes remove them: of dropped clips, samples, \
leftovers.

    Without --yes nothing is removed. Sources never are. dropped: clips that filters drop after they
    were cut; a refilter that revives one cuts it again. samples: of videos that ended without a
    clip or are there no more. leftovers: of killed workers and replaced sources. gone: see --gone.

    Example:
      curate prune
      curate prune videos --yes
      curate prune videos --gone
    """
    session = Session.of(ctx)
    chosen = [open_dataset(session, dataset)] if dataset else open_all(session)
    found = {what: Found(what) for what in KINDS if gone or what != "gone"}
    engine, counted_as_gone = open_database(session), set[int]()
    with Counter(session.console, "files found") as counter:
        for opened in chosen:
            refuse_foreign(session.settings, opened.dataset)
            pruner = _Pruner(session, opened, yes, counter)
            if gone:
                pruner.gone(found["gone"])
            pruner.dropped(found["dropped"])
            pruner.leftovers(found["leftovers"])
            counted_as_gone |= pruner.counted_as_gone
        of_datasets = [opened.dataset.id for opened in chosen] if dataset else None
        for paths in _samples(session.settings, engine, of_datasets, counted_as_gone):
            removed = remove_files(paths) if yes else sizes_of(paths)
            found["samples"].add(removed, paths[0])
    rows = [asdict(one) for one in found.values()]
    if as_json:
        emit_json({"removed": yes, "found": rows})
        return
    for row in rows:
        row["size"] = bytes_text(row["bytes"])
    emit(rows, False, ("what", "files", "size", "videos", "example"), ("example", "videos"))
    total = Removed(sum(f.files for f in found.values()), sum(f.bytes for f in found.values()))
    done = "removed" if yes else "could be removed"
    print(f"{counted(total.files, 'file')} ({bytes_text(total.bytes)}) {done}")
    if not yes and (total.files or any(one.videos for one in found.values())):
        words = ["prune", *([dataset] if dataset else []), *(["--gone"] if gone else [])]
        session.next((*words, "--yes"))


class _Pruner:
    """Finds what nobody needs of one dataset, and removes it if that is asked for."""

    def __init__(
        self, session: Session, opened: OpenDataset, removes: bool, counter: Counter
    ) -> None:
        self._session = session
        self._settings = session.settings
        self._opened = opened
        self._removes = removes
        self._counter = counter
        self.counted_as_gone: set[int] = set()
        """Videos whose files were counted, but are still there: nothing is removed."""

    def _take(self, paths: Sequence[str], found: Found) -> None:
        """Count the files, and remove them if asked to. Sources are passed over."""
        for start in range(0, len(paths), CHUNK):
            chunk = list(paths[start : start + CHUNK])
            sources = known_sources(self._opened.engine, chunk)
            own = [path for path in chunk if path not in sources]
            removed = remove_files(own) if self._removes else sizes_of(own)
            found.add(removed, own[0] if own else "")
        self._counter.show(found.files)

    def dropped(self, found: Found) -> None:
        """Files of dropped clips. Rows come first: a file that no row names is a leftover.

        Files that cannot be cut again stay: where cut changed the clips, or the source is another.
        """
        opened, writer = self._opened, file_writer(self._opened.pipeline)
        if writer is None:
            return
        if changed_by := cut_changes(opened.pipeline):
            self._session.console.say(
                f"dataset {opened.name}: cut changed the clips by {changed_by} and could not cut a"
                " revived one again, so files of dropped clips stay"
            )
            return
        for chunk in sources(opened.engine, opened.dataset):
            ids = [source.id for source in chunk]
            chosen = set(dropped_with_files(opened.engine, opened.pipeline, writer.name, ids))
            files = [clip for clip in clip_files(opened.engine, ids) if clip.clip_id in chosen]
            of_files = {clip.video_id for clip in files}
            there = {
                source.id
                for source in chunk
                if source.id in of_files
                and is_same_file(source.fingerprint, fingerprint_now(source.path))
            }
            files = [clip for clip in files if clip.video_id in there]
            if files and self._removes:
                again = sorted(clip.clip_id for clip in files)
                given_up = set(
                    give_up_files(
                        opened.engine, opened.dataset, opened.pipeline, writer.name, again
                    )
                )
                files = [clip for clip in files if clip.clip_id in given_up]
            paths = [file_of_clip(self._settings, opened.dataset, clip) for clip in files]
            self._take([path for path in paths if path], found)

    def leftovers(self, found: Found) -> None:
        """Files in the dataset's folder that no row names, and temporary ones of dead processes."""
        opened = self._opened
        folder = folder_of(self._settings, opened.dataset)
        for files in leftover_clips(opened.engine, opened.dataset, folder):
            left = [file.path for file in files if file.video_id not in self.counted_as_gone]
            self._take(left, found)
        if isinstance(folder, Path):
            self._take([to_text(str(path)) for path in abandoned_files(folder)], found)

    def gone(self, found: Found) -> None:
        """Videos whose source is gone. Files go before the rows that name them, so that after a
        kill the rest is found.

        Raises AtWork while rows are at work, UsageError where no source is left, and ServiceError
        where it cannot be told.
        """
        opened, settings, dataset = self._opened, self._settings, self._opened.dataset
        every = (one.path for chunk in sources(opened.engine, dataset) for one in chunk)
        # after an unmount the folder may still be there, empty
        if count_videos(opened.engine, dataset.id) and all(is_absent(path) for path in every):
            raise UsageError(
                what=f"No source of dataset {opened.name} is there: is the disk of "
                f"{dataset.root} mounted? If all of it is gone for good: "
                f"`curate datasets delete {opened.name}`"
            )
        own_folder = is_own_folder(opened.engine, folder_of(settings, dataset))
        unreachable, example = 0, ""
        for chunk in sources(opened.engine, dataset):
            absent = [one for one in chunk if is_absent(one.path)]
            ids = [one.id for one in absent if is_gone(one.path, one.relpath)]
            if len(ids) < len(absent):
                unreachable += len(absent) - len(ids)
                example = example or next(one.path for one in absent if one.id not in ids)
            if not ids:
                continue
            if self._removes:
                self._refuse_at_work(rows_at_work(opened.engine, dataset))
            paths = files_of_videos(opened.engine, settings, dataset, ids, own_folder)
            self._take(list(paths), found)
            if self._removes:
                at_work = forget_videos(opened.engine, dataset, opened.pipeline, ids)
                self._refuse_at_work(at_work)
            else:
                self.counted_as_gone.update(ids)
            found.videos += len(ids)
            found.example = next(one.path for one in chunk if one.id in ids)
        if unreachable:
            self._session.console.warn(
                f"left as they are: {counted(unreachable, 'source')} of {opened.name} that may be"
                f" on a disk that is not mounted: the folder of {example} is empty or not there. If"
                " they are gone for good, make that folder, put any file into it, and call this"
                " again"
            )

    def _refuse_at_work(self, rows: int) -> None:
        if rows:
            again = f"`curate prune {self._opened.name} --gone --yes`"
            raise AtWork(rows=counted(rows, "row"), name=self._opened.name, again=again)


def _samples(
    settings: Settings, engine: Engine, of_datasets: Sequence[int] | None, but: Container[int]
) -> Iterator[list[str]]:
    """Paths of archives that no stage will read, `but` those of some videos, a few at a time; of
    some datasets, or of all and of none.
    """
    samples, media = settings.samples, settings.clips
    if not (isinstance(media, Path) and media.is_relative_to(settings.folder)):
        # another home may write there too, whose videos are not known here
        of_datasets = of_datasets or [dataset.id for dataset in all_datasets(engine)]
    for chunk in chunks(files_below(samples)):
        by_id = {int(n[1]): path for path, _ in chunk if (n := _ARCHIVE.fullmatch(path))}
        by_id = {i: path for i, path in by_id.items() if path == to_text(str(archive(samples, i)))}
        ids = unneeded_samples(engine, list(by_id), of_datasets)
        if paths := [by_id[i] for i in sorted(ids) if i not in but]:
            yield paths
    if isinstance(samples, Path) and (paths := [to_text(str(p)) for p in abandoned_files(samples)]):
        yield paths
