"""`curate flower`: Celery's web page, served until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared.options import Address, Hosts
from curate.cli.shared.serving import refuse_open_address, url_of
from curate.cli.shared.session import Session
from curate.worker.broker import EmbeddedBroker, check_broker, outages
from curate.worker.session.console import Console
from curate.worker.session.signals import signals_interrupt
from curate.worker.stopping import undisturbed

LOGIN = "FLOWER_BASIC_AUTH"
COLUMNS = "name,state,routing_key,kwargs,result,runtime,worker,retries,exception,received"
TASKS_KEPT = 10_000  # in memory and in the history: some 10 MB
SAVE_MS = 60_000
STOP_SECONDS = 10.0  # it saves its history then


def flower(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web page.")] = 5555,
    address: Address = "127.0.0.1",
    host: Hosts = None,
) -> None:
    """Serve Flower, Celery's web page: tasks by stage, workers, queue lengths. Read-only.

    It listens on this host alone. On another address it needs a login, in the environment variable
    FLOWER_BASIC_AUTH=user:password; even then everyone who reaches the port can read /metrics. A
    request for another host than localhost, this host or a --host is refused.

    The last 10 000 tasks are kept in the folder flower of the home, for the next time.

    Example:
      curate flower --port 5555
    """
    session = Session.of(ctx)
    refuse_open_address(address, port, LOGIN)
    home = session.make_home()
    names = ("localhost", socket.gethostname(), address, *(host or ()))
    command = [
        sys.executable, "-m", "curate.worker.flower_page", ",".join(names), address,
        # not flowerconfig.py, which may lie in any folder and is run as a program
        f"--conf={os.devnull}", f"--port={port}", "--read-only=True", f"--tasks_columns={COLUMNS}",
        f"--max_tasks={TASKS_KEPT}", *_history(home / "flower", session.console),
    ]  # fmt: skip
    with signals_interrupt(), EmbeddedBroker(session.settings) as broker:
        check_broker(broker.url)
        session.console.say(f"Flower: {url_of(address, port)}   (Ctrl-C stops it)")
        environment = os.environ | session.settings.environment()
        # a session of its own: Ctrl-C is for this process, which then ends it
        process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
        code = _wait_for(process, broker)
    if code:
        raise typer.Exit(1)


def _history(folder: Path, console: Console) -> list[str]:
    """The options that let Flower keep its tasks in a folder of this user alone.

    They are kept as a pickle, and reading one runs what its writer wants.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        console.warn(f"no history is kept: others may write to {folder}")
        return []
    return ["--persistent=True", f"--db={folder / 'history'}", f"--state_save_interval={SAVE_MS}"]


def _wait_for(process: subprocess.Popen[bytes], broker: EmbeddedBroker) -> int:
    """Wait for a child and keep the broker; on Ctrl-C or another signal to stop end the child too.

    Returns its exit code, 0 when it was told to stop.
    """
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(*outages()):  # the next try may succeed
                    broker.ensure()
    except KeyboardInterrupt:
        return 0
    finally:
        with undisturbed():
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
