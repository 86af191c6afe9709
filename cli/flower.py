"""`curate flower`: Celery's web page, served until it is told to stop."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from curate.cli.shared.serving import refuse_open_address, sigterm_interrupts, url_of
from curate.cli.shared.session import Session
from curate.worker.broker import EmbeddedBroker, check_broker

LOGIN = "FLOWER_BASIC_AUTH"
COLUMNS = "name,state,routing_key,kwargs,result,runtime,worker,retries,exception,received"


def flower(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web page.")] = 5555,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve Flower, Celery's web page: tasks by stage, workers, queue lengths. Read-only.

    It listens on this host alone. On another address it needs a login, in the environment variable
    FLOWER_BASIC_AUTH=user:password; even then everyone who reaches the port can read /metrics.

    Example:
      curate flower --port 5555
    """
    session = Session.of(ctx)
    refuse_open_address(address, port, LOGIN)
    session.make_home()
    command = [
        sys.executable, "-m", "celery", "--quiet", "-A", "curate.worker.app", "flower",
        f"--address={address}", f"--port={port}", "--read-only=True", f"--tasks_columns={COLUMNS}",
    ]  # fmt: skip
    with sigterm_interrupts(), EmbeddedBroker(session.settings) as broker:
        check_broker(broker.url)
        session.console.say(f"Flower: {url_of(address, port)}   (Ctrl-C stops it)")
        environment = os.environ | session.settings.environment()
        code = _wait_for(subprocess.Popen(command, env=environment))  # noqa: S603  fixed
    if code:
        raise typer.Exit(1)


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child; on Ctrl-C or SIGTERM end it too.

    Returns its exit code, 0 when it was told to stop.
    """
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0
