"""Real workers of both queues on a real Redis: what they load, and what happens when one is killed
at its batch.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import ServiceError
from curate.configs.identity import process_mark, started
from curate.tasks.models.device import VISIBLE
from curate.worker import broker, supervisor
from curate.worker.processes import WorkerSpec, worker_specs
from curate.worker.supervisor import Log, Supervisor
from tests.pipelines import Line, make_line, wait_until

pytestmark = pytest.mark.skipif(broker.redis_executable() is None, reason="no redis-server")


def children(pid: int | None) -> list[int]:
    """Pids of the children of a process, those of its pool."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_mindspore(pid: int | None) -> bool:
    """Whether a process has mapped the libraries of MindSpore."""
    return "/mindspore/" in Path(f"/proc/{pid}/maps").read_text()


def variable(pid: int, name: str) -> str | None:
    """A variable of the environment that a process was started with."""
    pairs = dict(
        line.partition("=")[::2] for line in Path(f"/proc/{pid}/environ").read_text().split("\0")
    )
    return pairs.get(name)


def notes(folder: Path) -> list[tuple[int, int]]:
    """Who started which clip, in order: pid and clip index."""
    found = folder / "notes"
    lines = found.read_text().splitlines() if found.exists() else []
    return [(int(a), int(b)) for a, b in map(str.split, lines)]


def drive(supervised: Supervisor, condition: Callable[[], Any]) -> None:
    """Tick until the condition holds."""

    def look() -> bool:
        supervised.tick()
        return bool(condition())

    wait_until(look, 90)


def held_line(url: str, home: Path, folder: Path) -> Line:
    """Clips that wait for a stage on each queue, with leases shorter than the stage on `ascend`
    takes to load.
    """
    held = {"stage": "held", "folder": str(folder), "batch_size": 2, "load_seconds": 2.5}
    line = make_line(url, home, [held, "score"])
    line.settings = line.settings.model_copy(update={"lease_seconds": 2.0})
    line.enqueue("a3.mp4")
    return line


def test_a_worker_killed_at_its_batch_on_the_device(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    pytest.importorskip("mindspore")
    line = held_line(sqlite_url, home, plugged)
    planned = [
        *worker_specs(line.settings, ["cpu"], 2),
        WorkerSpec("ascend", 1, "ascend3", threads=2, npu=3),
    ]
    with Supervisor(
        line.settings, line.engine, planned, Log(plugged / "log", "INFO")
    ) as supervised:
        cpu, ascend = supervised.workers
        drive(supervised, lambda: notes(plugged))
        ((first, clip),) = notes(plugged)
        assert children(ascend.pid) == [first]
        assert has_mindspore(first)
        assert not has_mindspore(ascend.pid), "the parent would hang its children"
        assert (variable(first, VISIBLE), variable(first, "OMP_NUM_THREADS")) == ("3", "2")
        assert [variable(pid, VISIBLE) for pid in children(cpu.pid)] == [None, None]
        os.kill(first, signal.SIGKILL)
        (plugged / "go").touch()
        drive(
            supervised,
            lambda: line.rows("SELECT count(*) FROM clips WHERE status = 'kept'") == [(3,)],
        )
        pids = [cpu.pid, *children(cpu.pid)]
        assert len(pids) == 3
        assert not any(map(has_mindspore, pids)), "a worker of cpu loads no models"
    started = notes(plugged)
    assert len({pid for pid, _ in started}) == 2
    again = Counter(index for _, index in started)
    assert again == {0: 1, 1: 1, 2: 1} | {clip: 2}, "the batch is done again, once"
    assert line.rows("SELECT clip_index, held, score, attempts, owner FROM clips ORDER BY 1") == [
        (n, 2.0 * n, float(n), 0, None) for n in range(3)
    ]
    assert line.rows(
        "SELECT sum(n_ok), sum(n_failed), max(error) FROM batches WHERE stage = 'held'"
    ) == [(3, 0, None)]


def waiting_line(url: str, home: Path, folder: Path) -> Line:
    """Two clips for a stage that waits for the file `go`, each a batch."""
    line = make_line(url, home, [{"stage": "waits", "folder": str(folder), "batch_size": 1}])
    line.put_clips(2, "waits")
    return line


def parts(line: Line) -> list[Path]:
    """The temporary files among the clips."""
    return list(Path(line.settings.clips).glob(".*.part"))


def test_rows_of_workers_that_are_ended_are_free_at_once(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    line = waiting_line(sqlite_url, home, plugged)
    with Supervisor(
        line.settings, line.engine, worker_specs(line.settings, ["cpu"], 1), Log(plugged / "log")
    ) as supervised:
        drive(supervised, lambda: (plugged / "begun").exists())
        assert line.rows("SELECT count(*) FROM clips WHERE owner IS NOT NULL") == [(1,)]
        assert len(parts(line)) == 1
        supervised.stop(0)
    assert parts(line) == []
    free = "SELECT DISTINCT status, owner, lease_until, claim_size, attempts FROM clips"
    assert line.rows(free) == [("active", None, 0.0, 0, 0)], (
        "no lease to wait for, and no crash of the row"
    )


def test_a_stop_waits_for_a_batch_at_work(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = waiting_line(sqlite_url, home, plugged)
    with Supervisor(
        line.settings, line.engine, worker_specs(line.settings, ["cpu"], 1), Log(plugged / "log")
    ) as supervised:
        drive(supervised, lambda: (plugged / "begun").exists())
        supervised.tell_to_stop()
        let_go = threading.Timer(0.5, (plugged / "go").touch)
        let_go.start()
    assert not let_go.is_alive()
    ends = "SELECT status, count(*) FROM clips GROUP BY 1 ORDER BY 1"
    assert line.rows(ends) == [("active", 1), ("kept", 1)]


def test_a_stop_waits_for_no_worker_without_rows(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    with Supervisor(
        line.settings, line.engine, worker_specs(line.settings, ["cpu"], 1), Log(plugged / "log")
    ) as supervised:
        (worker,) = supervised.workers
        drive(supervised, worker.processes)
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it never ends by itself
        supervised.stop(grace=3600)
    assert not started(pid)


def test_a_worker_outlives_its_broker_and_what_a_killed_process_began_is_removed(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    line = waiting_line(sqlite_url, home, plugged)
    specs, log = worker_specs(line.settings, ["cpu"], 2), plugged / "log"
    with Supervisor(line.settings, line.engine, specs, Log(log)) as supervised:
        (worker,) = supervised.workers
        drive(supervised, lambda: len(parts(line)) == 2)
        before = worker.pid
        with broker.EmbeddedBroker(line.settings) as server:
            pid = server.server_pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: "Connection to broker lost" in log.read_text())
            drive(supervised, lambda: server.server_pid() not in (None, pid))
        os.kill(children(worker.pid)[0], signal.SIGKILL)
        (plugged / "go").touch()
        kept = "SELECT count(*) FROM clips WHERE status = 'kept'"
        drive(supervised, lambda: line.rows(kept) == [(2,)])
        assert len(parts(line)) == 1
        assert worker.pid == before, log.read_text()
    assert parts(line) == []


def test_an_embedded_redis_that_cannot_start_again_ends_no_supervision(
    plugged: Path,
    sqlite_url: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    with Supervisor(line.settings, line.engine, [], Log(plugged / "log")) as supervised:

        def full(self: object) -> bool:
            raise ServiceError(what="The embedded Redis", why="it does not start")

        with monkeypatch.context() as patched:
            patched.setattr(broker.EmbeddedBroker, "ensure", full)
            supervised.tick()
            supervised.tick()
        supervised.tick()
    assert caplog.text.count("the embedded Redis is gone, trying again") == 1


def test_what_killed_workers_had_begun_to_write_is_removed_at_the_start(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    left = []
    for folder in (line.settings.clips, line.settings.samples):
        assert isinstance(folder, Path)
        mark = process_mark().rpartition("-")[0] + "-1"  # the pid is used again
        left.append(folder / "1" / f".{mark}-0123abcd.part")
        left[-1].parent.mkdir(parents=True)
        left[-1].write_bytes(b"half")
    with Supervisor(line.settings, line.engine, [], Log(plugged / "log")):
        wait_until(lambda: not any(path.exists() for path in left))


def test_a_worker_that_cannot_start_ends_the_supervision(
    plugged: Path, sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTARTS", 1)
    line = make_line(sqlite_url, home, ["score"])
    wrong = WorkerSpec("nowhere", 1, "nowhere0")
    with (
        pytest.raises(ServiceError, match="worker nowhere0"),
        Supervisor(line.settings, line.engine, [wrong], Log(plugged / "log")) as supervised,
    ):
        drive(supervised, lambda: False)
