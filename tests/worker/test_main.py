"""A worker's process ends with the process that supervises it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from tests.pipelines import wait_until

CHILD = """
import time
from curate.worker.stopping import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
said = child.stdout.readline().decode().strip()
print(said, child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_it_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        said, _, pid = parent.stdout.readline().decode().partition(" ")
        assert said == "ready"
        child = psutil.Process(int(pid))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 20)
