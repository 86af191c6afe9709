"""Owners: which processes of this host are gone."""

from __future__ import annotations

import subprocess
import sys

from curate.worker.owner import dead_owners, new_owner, worker_name

SCRIPT = "from curate.worker.owner import new_owner; print(new_owner())"


def test_a_living_process_is_not_dead() -> None:
    assert dead_owners([new_owner()]) == []


def test_a_process_that_ended_is_dead() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    owner = done.stdout.strip()
    assert dead_owners([owner]) == [owner]


def test_a_pid_used_again_is_dead() -> None:
    host, space, pid, _, batch = new_owner().split("|")
    reused = "|".join([host, space, pid, "1", batch])
    assert dead_owners([reused]) == [reused]


def test_other_hosts_and_other_containers_cannot_be_judged() -> None:
    host, space, _, started, batch = new_owner().split("|")
    gone = "4194303"
    assert dead_owners(["|".join(["elsewhere", space, gone, started, batch])]) == []
    assert dead_owners(["|".join([host, "0/pid:[1]", gone, started, batch])]) == []


def test_owners_of_one_process_differ() -> None:
    assert new_owner() != new_owner()
    assert "@" in worker_name()
