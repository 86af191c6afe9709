"""Whether files that a table names are there, and as large as they were when they were written."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from curate.configs.errors import ServiceError
from curate.tasks.inputs.paths import is_url
from curate.tasks.storage.clip_paths import archive
from curate.tasks.storage.locations import Location
from curate.tasks.storage.remote import as_reading_error, file_system

FileState = Literal["there", "missing", "resized", "unasked"]
SizedFile = tuple[str, int | None]  # a path on disk or a URL, and its size in bytes

_REQUESTS = 32  # at a time to a store


def file_states(files: Iterable[SizedFile], ask_stores: bool) -> dict[SizedFile, FileState]:
    """The state of each file. One whose size is not known is taken to be there.

    A file at a URL is `unasked`, or costs a request. Raises ServiceError when a store does not
    answer or refuses this host.
    """
    states: dict[SizedFile, FileState] = {}
    urls = []
    for file in set(files):
        if is_url(file[0]):
            states[file] = "unasked"
            urls.append(file)
        else:
            states[file] = _local_state(*file)
    if ask_stores and urls:
        with ThreadPoolExecutor(_REQUESTS) as pool:
            states |= zip(urls, pool.map(lambda file: _remote_state(*file), urls), strict=True)
    return states


def _local_state(path: str, size: int | None) -> FileState:
    if size is None:
        return "there"
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "missing"
    return "there" if status.st_size == size else "resized"


def _remote_state(url: str, size: int | None) -> FileState:
    system, path = file_system(url)
    try:
        found = system.info(path).get("size")
    except Exception as error:  # every store's client raises errors of its own
        problem = as_reading_error(url, error)
        if isinstance(problem, ServiceError):
            raise problem from error
        return "missing"
    return "there" if size is None or found in (None, size) else "resized"


def sizes_below(folder: Path) -> Iterator[int]:
    """The size in bytes of each file in a folder and in those below it; of none where it is not
    there or cannot be read.
    """
    folders = [str(folder)]
    while folders:
        # what cannot be looked at was deleted meanwhile, or is another user's
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                size = None
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size = entry.stat(follow_symlinks=False).st_size
                if size is not None:
                    yield size


def archive_size(samples: Location, video_id: int) -> int:
    """The bytes of a video's archive of samples; 0 where there is none on this host's disks."""
    try:
        return archive(samples, video_id).stat().st_size if isinstance(samples, Path) else 0
    except OSError:
        return 0
