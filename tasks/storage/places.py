"""Where clips and samples are kept: in a local folder (a Path) or below an fsspec URL (a str)."""

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

Place = Path | str
PlaceT = TypeVar("PlaceT", Path, str, Path | str)


def below(root: PlaceT, *parts: str) -> PlaceT:
    """A place below another one."""
    return root.joinpath(*parts) if isinstance(root, Path) else "/".join([root, *parts])


@contextmanager
def replacing(place: Place) -> Iterator[Path]:
    """A local temporary file that becomes the one at place at the end, in one go; after an
    exception it is gone.

    For a URL it lies in a folder of its own in TMPDIR and is uploaded. Raises ServiceError.
    """
    if isinstance(place, Path):
        with _renamed(place) as temporary:
            yield temporary
        return
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        temporary = Path(folder) / f"whole{os.path.splitext(place)[1]}"  # noqa: PTH122  a URL
        yield temporary
        upload(temporary, place)


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(
        f".{uuid4().hex[:16]}.part"
    )  # containers of several hosts share pids
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_places(settings: Settings) -> None:
    """Raise ServiceError or ConfigError when clips go to a URL that cannot be written to."""
    if isinstance(settings.clips, str):
        check_writable(settings.clips)
