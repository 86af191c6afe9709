"""How a SQLite database is read by someone who may not write to it, such as a second user.

In WAL mode even a reader writes, to the file -shm, and makes it when no other connection is open.
Without the right to do so SQLite can use the -shm that another user's process keeps. Where there is
none, nobody writes, and the file is read as one that does not change; whether that was so is looked
at afterwards.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

# while another process opens or closes the database, its files come and go
_ATTEMPTS = 40
_PAUSE = 0.05


def is_unwritable(path: str | None) -> bool:
    """Whether the file is there, and it or its folder may not be written to by this user."""
    if not path or not Path(path).exists():
        return False
    file = Path(path).resolve()
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


class Reader(sqlite3.Connection):
    """A connection to a file that this user may not write to."""

    path = ""
    before: tuple[int, int] | None = None

    @property
    def was_disturbed(self) -> bool:
        """Whether a file that is read as one that does not change did change."""
        return self.before is not None and self.before != _state_at_rest(self.path)


def connect(path: str, **options: Any) -> Reader:
    """A connection that reads the file, which `is_unwritable`, and leaves nothing beside it.

    Raises sqlite3.OperationalError.
    """
    uri = f"file:{quote(str(Path(path).resolve()))}?mode=ro"
    for attempts_left in reversed(range(_ATTEMPTS)):
        before = _state_at_rest(path)
        still = "&immutable=1" if before else ""
        connection = sqlite3.connect(uri + still, uri=True, factory=Reader, **options)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if not attempts_left:
                raise
            time.sleep(_PAUSE)
        else:
            connection.path, connection.before = path, before
            return connection
    raise AssertionError("the last attempt returns or raises")


def _state_at_rest(path: str) -> tuple[int, int] | None:
    """When the file was changed last and its size; None while a process may have it open."""
    file = Path(path).resolve()
    log, shared = Path(f"{file}-wal"), Path(f"{file}-shm")
    if log.exists() and (log.stat().st_size or shared.exists()):
        return None
    found = file.stat()
    return found.st_mtime_ns, found.st_size
