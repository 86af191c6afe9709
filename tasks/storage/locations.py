"""Locations of clips and samples: in a local folder (a Path) or below an fsspec URL (a str)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from curate.configs.settings import Settings
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.part_files import folder_prefix, part_name
from curate.tasks.storage.remote import check_writable, upload

Location = Path | str
LocationT = TypeVar("LocationT", Path, str, Path | str)


def below(root: LocationT, *parts: str) -> LocationT:
    """A location below another one."""
    return root.joinpath(*parts) if isinstance(root, Path) else "/".join([root, *parts])


@contextmanager
def replacing(location: Location) -> Iterator[Path]:
    """A local temporary file that atomically becomes the file at `location` at the end.

    After an exception it is deleted; after a kill, by `remove_abandoned`. For a URL it lies in a
    folder of its own in TMPDIR and is uploaded. Raises ServiceError.
    """
    if isinstance(location, str):
        with tempfile.TemporaryDirectory(prefix=folder_prefix()) as folder:
            extension = os.path.splitext(location)[1]  # noqa: PTH122  a URL
            temporary = Path(folder) / f"whole{extension}"
            yield temporary
            upload(temporary, location)
        return
    location.parent.mkdir(parents=True, exist_ok=True)
    temporary = location.with_name(part_name())
    try:
        yield temporary
        temporary.replace(location)
    finally:
        temporary.unlink(missing_ok=True)


def home_text(settings: Settings) -> str:
    """The home folder as the database names it, for `curate.db.engine.make_engine`."""
    return to_text(str(settings.folder))


def check_clips_writable(settings: Settings) -> None:
    """Raise ServiceError or ConfigError when clips go to a URL that cannot be written to."""
    if isinstance(settings.clips, str):
        check_writable(settings.clips)
