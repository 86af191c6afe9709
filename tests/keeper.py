"""Runs one server for the tests and ends it when the tests end, however they end.

Started as ``python keeper.py JSON`` with keys: argv, user (null: ours), folder (removed at the
end). The tests hold the other end of stdin. When it closes, or the tests are killed, the server is
stopped.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys

_LOOK_SECONDS = (
    0.5  # a child that a test forked may hold stdin open, so the parent is looked at too
)


def keep(argv: list[str], user: str | None, folder: str) -> int:
    """The exit code of the server."""
    parent = os.getppid()
    server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, user=user, cwd=folder)
    try:
        while server.poll() is None and os.getppid() == parent:
            if select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
                break
        return _stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(server: subprocess.Popen[bytes]) -> int:
    for sign in (signal.SIGQUIT, signal.SIGKILL):  # SIGQUIT: Postgres does not write anything more
        server.send_signal(sign)
        try:
            return server.wait(10)
        except subprocess.TimeoutExpired:
            continue
    return server.wait()


if __name__ == "__main__":
    sys.exit(keep(**json.loads(sys.argv[1])))
