"""Marks of processes: which of them live."""

from __future__ import annotations

import re
import subprocess
import sys

from curate.configs.identity import lives, of_this_host, process_mark

SCRIPT = "from curate.configs.identity import process_mark; print(process_mark())"


def test_this_process_lives_under_its_mark() -> None:
    assert lives(process_mark()) is True
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{8}-\d+-\d+", process_mark())


def test_a_forked_process_has_a_mark_of_its_own() -> None:
    forks = f"import os, sys; {SCRIPT}; sys.stdout.flush(); os.fork() or print(process_mark())"
    done = subprocess.run([sys.executable, "-c", forks], capture_output=True, text=True, check=True)
    parent, child = (mark.split("-")[2] for mark in done.stdout.split())
    assert parent != child


def test_a_process_that_ended_does_not_live_nor_one_whose_pid_is_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert lives(done.stdout.strip()) is False
    assert lives(process_mark().rpartition("-")[0] + "-1") is False


def test_processes_of_other_hosts_and_containers_cannot_be_judged() -> None:
    host, boot, pid, started = process_mark().split("-")
    assert lives(f"00000000-{boot}-{pid}-{started}") is None
    assert lives(f"{host}-00000000-{pid}-{started}") is None
    assert not of_this_host(f"00000000-{boot}-{pid}-{started}")
    assert of_this_host(f"{host}-00000000-{pid}-{started}")
