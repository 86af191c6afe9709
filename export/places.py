"""Small texts and whole trees in a local folder or below a URL; who alone writes there."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.configs.errors import ServiceError, UsageError
from curate.tasks.storage.locations import Location, replacing
from curate.tasks.storage.remote import RemoteFile, file_system, store_errors


def there(place: Location) -> bool:
    """Whether something is there. Raises ServiceError."""
    if isinstance(place, Path):
        return place.exists()
    with store_errors(place):
        system, path = file_system(place)
        system.invalidate_cache()
        return bool(system.exists(path))


def read_text(place: Location) -> str:
    """The text of a file. Raises OSError, ServiceError, Unreadable."""
    if isinstance(place, Path):
        return place.read_bytes().decode()
    with RemoteFile(place) as stream:
        return stream.read().decode()


def write_text(place: Location, text: str) -> None:
    """Let a file appear, whole, with this text. Raises OSError, ServiceError."""
    with replacing(place) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove(place: Location) -> None:
    """Remove a file, or a folder with all that is in it. Raises OSError, ServiceError."""
    if isinstance(place, Path):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        return
    with store_errors(place):
        system, path = file_system(place)
        system.invalidate_cache()
        if system.exists(path):
            system.rm(path, recursive=True)


@contextmanager
def alone(root: Location) -> Iterator[None]:
    """Keep other processes of this host from writing the same. Raises UsageError, ServiceError.

    `root` is absolute, or a URL.
    """
    if isinstance(root, str):
        yield
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        # a name that no other program has: it is removed at the end
        lock = root.parent / f".{root.name.lstrip('.')}.curate-lock"
        with lock.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(what=f"another command is writing {root} just now") from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        what = error.filename or root
        raise ServiceError(what=what, why=error.strerror or error) from error
