"""Locations of clips and samples: in a local folder (a Path) or below an fsspec URL (a str)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from curate.configs.settings import Settings
from curate.tasks.storage.remote import check_writable, upload

Location = Path | str
LocationT = TypeVar("LocationT", Path, str, Path | str)


def below(root: LocationT, *parts: str) -> LocationT:
    """A location below another one."""
    return root.joinpath(*parts) if isinstance(root, Path) else "/".join([root, *parts])


@contextmanager
def replacing(location: Location) -> Iterator[Path]:
    """A local temporary file that atomically becomes the file at `location` at the end.

    After an exception it is deleted. For a URL it lies in a folder of its own in TMPDIR and is
    uploaded. Raises ServiceError.
    """
    if isinstance(location, str):
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            extension = os.path.splitext(location)[1]  # noqa: PTH122  a URL
            temporary = Path(folder) / f"whole{extension}"
            yield temporary
            upload(temporary, location)
        return
    location.parent.mkdir(parents=True, exist_ok=True)
    # not the process id: containers on several hosts have the same ids
    temporary = location.with_name(f".{uuid4().hex[:16]}.part")
    try:
        yield temporary
        temporary.replace(location)
    finally:
        temporary.unlink(missing_ok=True)


def check_clips_writable(settings: Settings) -> None:
    """Raise ServiceError or ConfigError when clips go to a URL that cannot be written to."""
    if isinstance(settings.clips, str):
        check_writable(settings.clips)
