"""How far the batch of each process is: a file in the home that its process writes once a second.

The stage counts frames (`curate.tasks.stage.Context.counted`), and the lease keeper's thread
writes. A batch that is done within a second writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from curate.configs.settings import Settings
from curate.db.queue.leases import Claim
from curate.db.reports.at_work import BatchAtWork
from curate.tasks.stage import Clip, Video
from curate.worker.owner import dead_owners

WRITE_SECONDS = 1.0
STALE_SECONDS = 60.0  # after so long without a word a process of another host counts as gone


def progress_folder(settings: Settings) -> Path:
    """Where the files are."""
    return settings.folder / "progress"


class ProgressFile:
    """The file of this process. Each process makes one, after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._folder = progress_folder(settings)
        self._file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._claim: Claim | None = None
        self._began = 0.0
        self._row: Video | Clip | None = None
        self._row_began = 0.0
        self._frames = 0
        self._media_done = 0.0  # seconds of the rows before this one
        self._written = False
        with contextlib.suppress(OSError):
            remove_files_of_dead(self._folder)

    @contextlib.contextmanager
    def during(self, claim: Claim) -> Iterator[None]:
        """Let `write` tell of this batch while the block runs; then the file goes."""
        self._claim, self._began = claim, time.monotonic()
        self._row, self._frames, self._media_done = None, 0, 0.0
        try:
            yield
        finally:
            self._claim = self._row = None
            if self._written:
                self._written = False
                with contextlib.suppress(OSError):
                    self._file.unlink()

    def count(self, row: Video | Clip, frames: int) -> None:
        """So many frames of a row are done."""
        if row is not self._row:
            if self._row is not None:
                self._media_done += _length(self._row) or 0.0
            self._row, self._row_began = row, time.monotonic()
        self._frames = frames

    def write(self) -> None:
        """Write how far the batch is; a disk that does not take it is no error."""
        if self._claim is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            text = json.dumps(asdict(self._now(self._claim)))
            temporary = self._file.with_suffix(".part")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._file)
            self._written = True

    def _now(self, claim: Claim) -> BatchAtWork:
        now, request, row = time.monotonic(), claim.request, self._row
        first = claim.rows[0]
        video: Mapping[str, Any] = claim.videos.get(first.get("video_id", 0), first)
        batch = BatchAtWork(
            owner=request.owner,
            dataset_id=request.dataset_id,
            stage=request.step.name,
            rows=len(claim.rows),
            seconds=now - self._began,
            path=str(video["relpath"]) if len(claim.rows) == 1 else "",
        )
        if row is None:
            return batch
        return replace(
            batch,
            path=(row if isinstance(row, Video) else row.video).relpath,
            frames=self._frames,
            of_frames=row.values.get("num_frames"),
            duration=_length(row),
            row_seconds=now - self._row_began,
            media_done=self._media_done,
        )


def _length(row: Video | Clip) -> float | None:
    """The length of a video or clip in seconds."""
    return row.values.get("duration" if isinstance(row, Video) else "seconds")


def batches_at_work(settings: Settings, dataset_id: int) -> list[BatchAtWork]:
    """The batches of a dataset that have been at work for a second or more, by processes that write
    below this home; the one that has longest to go comes first.
    """
    found = []
    for file in progress_folder(settings).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            batch = BatchAtWork(**json.loads(file.read_text(encoding="utf-8")))
            stale = time.time() - file.stat().st_mtime > STALE_SECONDS
            if batch.dataset_id == dataset_id and not stale and not dead_owners([batch.owner]):
                found.append(batch)
    return sorted(found, key=lambda batch: (-(batch.eta or 0.0), -batch.seconds, batch.owner))


def remove_files_of_dead(folder: Path) -> None:
    """Remove the files that killed processes of this host left."""
    for file in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if dead_owners([json.loads(file.read_text(encoding="utf-8"))["owner"]]):
                file.unlink()
