"""The kinds of faults that a line may meet."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.faults.disk import Disk
from tests.faults.line import LEASE_SECONDS, Line
from tests.processes import redis_of, send

HOUR = 3600
# breaks the line, given a process that holds rows; returns when the cause of the fault is gone
Fault = Callable[[Line, int], None]


def faults(line: Line) -> dict[str, tuple[Fault, str]]:
    """Each kind of fault by name, with why it cannot be done here (empty: it can)."""
    no_clock, no_disk, no_database_disk = (
        part.why_not for part in (line.clock, line.disk, line.database_disk)
    )
    common: dict[str, tuple[Fault, str]] = {
        "kill -9 of a worker's child": (kill_child, ""),
        "kill -9 of a whole worker": (kill_worker, ""),
        "kill -9 of Redis, data kept": (lambda a, _: kill_redis(a, keep=True), ""),
        "kill -9 of Redis, data deleted": (lambda a, _: kill_redis(a, keep=False), ""),
        "SIGTERM of a worker": (terminate_worker, ""),
        "SIGSTOP of a child beyond its lease": (pause_child, ""),
        "clock an hour forward, then back": (lambda a, _: step_clock(a, HOUR), no_clock),
        "clock an hour back, then forward": (lambda a, _: step_clock(a, -HOUR), no_clock),
    }
    if line.postgres is None:
        full = "full disk of database, samples, clips"
        return {**common, full: (lambda a, _: fill(a, a.disk), no_disk)}
    return {
        **common,
        "full disk of samples and clips": (lambda a, _: fill(a, a.disk), no_disk),
        "full disk of Postgres": (lambda a, _: fill(a, a.database_disk), no_database_disk),
        "Postgres restarted, immediate": (lambda a, _: restart_postgres(a, signal.SIGQUIT), ""),
        "Postgres restarted, fast": (lambda a, _: restart_postgres(a, signal.SIGINT), ""),
    }


def kill_child(line: Line, pid: int) -> None:
    """A process that holds rows is killed."""
    send([pid], signal.SIGKILL)


def kill_worker(line: Line, pid: int) -> None:
    """All of a `curate worker` is killed, and started again a little later."""
    host = line.chance.choice(line.hosts)
    host.kill()
    time.sleep(line.chance.uniform(0.2, 2))
    host.start()


def kill_redis(line: Line, keep: bool) -> None:
    """Redis is killed. A server is started again; the supervisors start the embedded one."""
    if line.redis:
        line.redis.kill(keep)
        time.sleep(line.chance.uniform(0.2, 3))
        line.redis.start()
        return
    pids = redis_of(line.home)
    if not keep:
        for file in (line.home / "broker").glob("appendonly*"):
            file.unlink()
    send(pids, signal.SIGKILL)


def restart_postgres(line: Line, sign: signal.Signals) -> None:
    """Postgres is stopped and started again."""
    assert line.postgres
    line.postgres.stop(sign)
    time.sleep(line.chance.uniform(0, 3))
    line.postgres.start()


def terminate_worker(line: Line, pid: int) -> None:
    """A `curate worker` is asked to stop, and started again."""
    host = line.chance.choice(line.hosts)
    host.terminate()
    host.start()


def pause_child(line: Line, pid: int) -> None:
    """A process that holds rows stands still for longer than its lease."""
    send([pid], signal.SIGSTOP)
    time.sleep(LEASE_SECONDS + line.chance.uniform(0.5, 2))
    send([pid], signal.SIGCONT)


def fill(line: Line, disk: Disk) -> None:
    """The disk is full for a while."""
    disk.fill()
    time.sleep(line.chance.uniform(1, 4))
    disk.clear()


def step_clock(line: Line, seconds: int) -> None:
    """The clock of the leases is wrong for a while: one step, and one back."""
    line.clock.set(seconds)
    time.sleep(line.chance.uniform(1, 4))
    line.clock.set(0)
