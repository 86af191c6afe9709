"""Lists and removes files in folders and below URLs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from curate.configs.errors import ServiceError
from curate.tasks.inputs.paths import is_url, to_path, to_text
from curate.tasks.storage.locations import Location
from curate.tasks.storage.remote import file_system, store_errors

REQUESTS = 32  # at a time to a store


@dataclass
class Removed:
    """Files that were removed, and their size in bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.files + other.files, self.bytes + other.bytes)

    def add(self, sizes: Iterable[int | None]) -> None:
        """Count removed files by their sizes; None: there was none."""
        for size in sizes:
            if size is not None:
                self.files, self.bytes = self.files + 1, self.bytes + size


def files_below(location: Location) -> Iterator[tuple[str, int]]:
    """Each file below a folder or URL: its path as the database has it, and its size in bytes.

    None where there is no such folder. Raises ServiceError when a store does not answer.
    """
    if isinstance(location, str):
        with store_errors(location):
            system, root = file_system(location)
            system.invalidate_cache(root)
            with contextlib.suppress(FileNotFoundError):
                for _, _, files in system.walk(root, detail=True):
                    for info in files.values():
                        below = str(info["name"]).lstrip("/").removeprefix(root.lstrip("/"))
                        yield f"{location}{below}", int(info.get("size") or 0)
        return
    folders = [str(location)]
    while folders:
        # what cannot be looked at was deleted meanwhile, or is another user's
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size = entry.stat(follow_symlinks=False).st_size
                        yield to_text(entry.path), size


def remove_files(paths: Iterable[str]) -> Removed:
    """Remove files by their paths or URLs as the database has them. Those that are not there are
    passed over. Raises ServiceError where one cannot be removed.
    """
    return _of_each(paths, _remove_local, _remove_url)


def sizes_of(paths: Iterable[str]) -> Removed:
    """What `remove_files` would remove. Raises ServiceError when a store does not answer."""
    return _of_each(paths, _local_size, _remote_size)


def _of_each(
    paths: Iterable[str],
    local: Callable[[str], int | None],
    remote: Callable[[str], int | None],
) -> Removed:
    """What was done to each path or URL; several URLs at a time, since a store takes its time."""
    done = Removed()
    given = list(paths)
    urls = [path for path in given if is_url(path)]
    done.add(local(path) for path in given if not is_url(path))
    if urls:
        with ThreadPoolExecutor(REQUESTS) as pool:
            done.add(pool.map(remote, urls))
    return done


def _local_size(path: str) -> int | None:
    try:
        return os.lstat(to_path(path)).st_size
    except OSError:
        return None


def _remote_size(url: str) -> int | None:
    with store_errors(url):
        system, path = file_system(url)
        try:
            return int(system.info(path).get("size") or 0)
        except FileNotFoundError:
            return None


def _remove_local(path: str) -> int | None:
    try:
        size = os.lstat(to_path(path)).st_size
        os.unlink(to_path(path))  # noqa: PTH108  much faster
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ServiceError(what=f"The file {path}", why=error.strerror or error) from None
    return size


def _remove_url(url: str) -> int | None:
    with store_errors(url):
        system, path = file_system(url)
        try:
            size = int(system.info(path).get("size") or 0)
            system.rm_file(path)
        except FileNotFoundError:
            return None
        return size


def remove_empty_folders(folder: Location) -> None:
    """Remove a local folder and those in it as far as they hold no file; stores have none."""
    if isinstance(folder, Path):
        for where, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(where).rmdir()
