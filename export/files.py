"""Puts the files of clips into a folder: as hard links where that is possible, or as copies."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

from curate.configs.errors import ServiceError
from curate.configs.row_errors import Unreadable
from curate.tasks.inputs.paths import is_url
from curate.tasks.storage.locations import replacing
from curate.tasks.storage.part_files import part_name
from curate.tasks.storage.remote import RemoteFile, file_system, store_errors

Placing = Literal["link", "copy", "none"]

# another file system, a file with all the links it may have, a file system without links
_NO_LINKS = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


def place(file: str, size: int, target: Path, placing: Placing) -> None:
    """Let the file at a path or URL appear, whole, as `target`; replaces another file there.

    Raises ServiceError when its size is not the one it should have, or it cannot be written.
    """
    try:
        if placing == "link" and not is_url(file) and _link(file, target):
            return
        with replacing(target) as temporary:
            copy(file, temporary)
            if temporary.stat().st_size != size:
                why = "its size changed while it was exported; export once more"
                raise ServiceError(what=file, why=why)
    except OSError as error:
        raise ServiceError(what=str(target), why=error.strerror or error) from error


def _link(file: str, target: Path) -> bool:
    """Make a hard link; False where there can be none."""
    if os.path.islink(file):  # noqa: PTH114  its own link would lead elsewhere from there
        file = os.path.realpath(file)
    try:
        os.link(file, target)
    except FileNotFoundError:
        if target.parent.exists():
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        return _link(file, target)
    except FileExistsError:
        temporary = target.with_name(part_name())
        os.link(file, temporary)
        temporary.replace(target)
        temporary.unlink(missing_ok=True)  # of two links to one file, rename removes neither
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def copy(file: str, target: Path) -> None:
    """Copy what is at a path or URL to a path. Raises OSError, ServiceError, Unreadable."""
    if not is_url(file):
        shutil.copyfile(file, target)
        return
    with store_errors(file), RemoteFile(file) as stream, target.open("wb") as copied:
        shutil.copyfileobj(stream, copied, 1 << 20)


def changed(file: str) -> int:
    """When the file at a path was changed, in nanoseconds; 0: it is gone, or at a URL."""
    try:
        return 0 if is_url(file) else os.stat(file).st_mtime_ns  # noqa: PTH116  a third of the time
    except OSError:
        return 0


def length(file: str) -> int:
    """The bytes of the file at a path or URL. Raises OSError, ServiceError, Unreadable."""
    if not is_url(file):
        return Path(file).stat().st_size
    with store_errors(file):
        system, path = file_system(file)
        try:
            return int(system.info(path)["size"])
        except FileNotFoundError:
            raise Unreadable(path=file, why="it is gone") from None
