"""The default line with sleep in place of work, for benchmarks/cores.py; a plugin, as
benchmarks/noop.py.

Stages keep their options, columns and order; `dedup` is the real one, of hashes drawn by chance. A
file's name ends with its number of clips. What write transactions waited for the database and what
they held it for, in seconds and in CPU seconds, stands in a file of each process.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from curate.tasks.cut import Cut
from curate.tasks.motion import Motion
from curate.tasks.probe import Probe
from curate.tasks.split import Split
from curate.tasks.stage import Clip, NewClip, Outcome, Scorer, Scores, StageOptions, Video

FOLDER = "SLEPT_FOLDER"  # where the files of transactions are
SECONDS = "SLEPT_SECONDS"  # of probe a video, of split and of cut a clip
_PROBE, _SPLIT, _CUT = (float(text) for text in os.environ.get(SECONDS, "0,0,0").split(","))
_RATE = 30
_PROBED = {
    "media_type": "video", "fps": 30.0, "width": 1920, "height": 1080, "aspect_ratio": 0.5625,
    "resolution": 1920 * 1080, "codec": "h264", "pixel_format": "yuv420p", "first_pts": 0,
    "time_base_num": 1, "time_base_den": _RATE, "keyframes": "[0]",
}  # fmt: skip


class Slept(Scorer[StageOptions]):
    """In no pipeline: it brings this module into all processes."""

    name = "slept"

    def score(self, clip: Clip) -> Scores:
        """Nothing."""
        return {}


def clips_of(relpath: str) -> int:
    """How many clips a file stands for."""
    return int(Path(relpath).stem.rpartition("-")[2])


def _probe(_stage: Probe, row: Video) -> Outcome:
    time.sleep(_PROBE)
    seconds = 5.0 * clips_of(row.relpath)
    return Outcome({**_PROBED, "duration": seconds, "num_frames": round(_RATE * seconds)})


def _split(_stage: Split, row: Video) -> Outcome:
    count = clips_of(row.relpath)
    time.sleep(_SPLIT * count)
    chance = random.Random(row.relpath)
    length = 5 * _RATE
    clips = []
    for n in range(count):
        names = ("hash_first", "hash_middle", "hash_first_mirrored", "hash_middle_mirrored")
        hashes = {name: f"{chance.getrandbits(64):016x}" for name in names}
        span = {"num_frames": length, "seconds": 5.0, "start_frame": n * length, "fps": 30.0}
        clips.append(NewClip(n, n * length, (n + 1) * length, {**span, **hashes}))
    return Outcome({"frames_decoded": count * length, "frames_leftover": 0}, clips)


def _motion(_stage: Motion, _clip: Clip) -> Scores:
    return {"flow": 1.0, "static": 0.0, "black": 0.0, "blur": 100.0}


def _cut(_stage: Cut, rows: Sequence[Clip]) -> list[Outcome]:
    time.sleep(_CUT * len(rows))
    return [Outcome({"path": f"/{row.id}.mp4", "file_size": 1}) for row in rows]


for _class, _name, _slept in (
    (Probe, "run", _probe), (Split, "run", _split), (Motion, "score", _motion),
    (Cut, "run_batch", _cut),
):  # fmt: skip
    setattr(_class, _name, _slept)


class _Transactions:
    """Sums of this process, in its file."""

    def __init__(self) -> None:
        self._file: mmap.mmap | None = None
        self._pid = 0
        self.waited = self.held = 0.0
        self.since: dict[int, float] = {}  # by connection: when it began to wait
        self.cpu: dict[int, float] = {}  # and what its thread had used when it began to hold

    def write(self) -> None:
        if self._pid != os.getpid():
            path = Path(os.environ[FOLDER], str(os.getpid()))
            path.write_bytes(bytes(16))
            with path.open("r+b") as file:
                self._file, self._pid = mmap.mmap(file.fileno(), 16), os.getpid()
        assert self._file is not None
        self._file[:] = struct.pack("dd", self.waited, self.held)


_transactions = _Transactions()
_commit = DefaultDialect.do_commit


def _before(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    key = id(connection.connection.dbapi_connection)
    if statement.startswith("BEGIN IMMEDIATE"):
        _transactions.since[key] = time.monotonic()
    elif not statement.startswith("BEGIN"):
        _transactions.cpu.setdefault(key, time.thread_time())


def _after(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("BEGIN IMMEDIATE"):
        key = id(connection.connection.dbapi_connection)
        _transactions.waited += time.monotonic() - _transactions.since.pop(key)
        _transactions.cpu[key] = time.thread_time()


def _do_commit(self: DefaultDialect, connection: Any) -> None:
    _commit(self, connection)
    began = _transactions.cpu.pop(id(connection.dbapi_connection), None)
    if began is not None:
        _transactions.held += time.thread_time() - began
        _transactions.write()


def _rollback(connection: Connection) -> None:
    _transactions.cpu.pop(id(connection.connection.dbapi_connection), None)


if FOLDER in os.environ:
    event.listen(Engine, "before_cursor_execute", _before)
    event.listen(Engine, "after_cursor_execute", _after)
    event.listen(Engine, "rollback", _rollback)
    DefaultDialect.do_commit = _do_commit  # type: ignore[method-assign]


def transactions(folder: Path) -> tuple[float, float]:
    """Seconds that transactions of all processes waited so far, and CPU seconds while they held."""
    sums = [struct.unpack("dd", file.read_bytes()) for file in folder.iterdir()]
    return sum(waited for waited, _ in sums), sum(held for _, held in sums)


def plugin(folder: Path) -> Path:
    """A folder that brings the stages into every process whose PYTHONPATH names it."""
    info = folder / "slept-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slept\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[curate.stages]\nslept = benchmarks.slept:Slept\n")
    return folder
