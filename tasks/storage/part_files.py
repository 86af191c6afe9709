"""Temporary files beside what they become: named after their process, removed once it is gone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from curate.configs.identity import lives, of_this_host, process_mark

IDLE = 86400.0  # seconds without a write after which a file that no living process names goes

_MARK = r"(?P<mark>[0-9a-f]{8}-[0-9a-f]{8}-\d+-\d+)"
_FILE = re.compile(rf"\.{_MARK}-[0-9a-f]{{8}}\.part")
_FOLDER = re.compile(rf"curate-{_MARK}-.*")
_NAMELESS = re.compile(r"\.[0-9a-f]{16}\.part")  # as they were called before they named a process


def part_name() -> str:
    """A name for a temporary file of this process, used once."""
    return f".{process_mark()}-{uuid4().hex[:8]}.part"


def folder_prefix() -> str:
    """What the name of a temporary folder of this process in TMPDIR begins with."""
    return f"curate-{process_mark()}-"


def remove_abandoned(*folders: Path) -> int:
    """Remove temporary files whose process is gone, below the folders and in TMPDIR.

    Returns how many. Those of living processes and of other hosts stay. Where it cannot be told,
    because the host was started again or the name names no process, they go after a day without
    a write.
    """
    removed = 0
    for path in abandoned_files(*folders):
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    for path in Path(tempfile.gettempdir()).glob("curate-*"):
        if _is_abandoned(path, _FOLDER):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def abandoned_files(*folders: Path) -> Iterator[Path]:
    """The temporary files below the folders that `remove_abandoned` removes."""
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                if name.endswith(".part") and _is_abandoned(Path(where, name), _FILE):
                    yield Path(where, name)


def _is_abandoned(path: Path, form: re.Pattern[str]) -> bool:
    named = form.fullmatch(path.name)
    if named:
        alive = lives(named["mark"])
        if alive is not None:
            return not alive
        if not of_this_host(named["mark"]):
            return False
    elif not _NAMELESS.fullmatch(path.name):
        return False
    try:
        return time.time() - path.stat().st_mtime > IDLE
    except OSError:
        return False
