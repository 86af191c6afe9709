"""Small texts and whole trees in a local folder or below a URL."""

from __future__ import annotations

import shutil
from pathlib import Path

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
