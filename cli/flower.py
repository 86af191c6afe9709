"""`curate flower`: Celery's web page, served until it is told to stop."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.serving import LOOPBACK, signals_interrupt
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.worker.broker import EmbeddedBroker, check_broker

if TYPE_CHECKING:
    from curate.configs.settings import Settings


FLOWER_COLUMNS = "name,state,routing_key,kwargs,result,runtime,worker,retries,exception,received"


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
    refuse_open_flower(address, port)
    session.make_home()
    with signals_interrupt(), EmbeddedBroker(session.settings) as broker:
        check_broker(broker.url)
        shown = f"[{address}]" if ":" in address else address
        session.console.say(f"Flower: http://{shown}:{port}   (Ctrl-C stops it)")
        command, environment = flower_command(address, port), _environment(session.settings)
        code = _wait(subprocess.Popen(command, env=environment))  # noqa: S603
    if code:
        raise typer.Exit(1)


def refuse_open_flower(address: str, port: int = 5555) -> None:
    """Raise UsageError for an address that others can reach, unless FLOWER_BASIC_AUTH asks for a
    login.
    """
    if address in LOOPBACK or os.environ.get("FLOWER_BASIC_AUTH"):
        return
    raise UsageError(
        what=f"--address {address} can be reached by others. Ask for a login with the environment variable"
        f" FLOWER_BASIC_AUTH=user:password, or keep 127.0.0.1 and use: ssh -L {port}:127.0.0.1:{port} HOST"
    )


def flower_command(address: str, port: int) -> list[str]:
    """What starts Flower."""
    return [
        sys.executable, "-m", "celery", "--quiet", "-A", "curate.worker.app", "flower",
        f"--address={address}", f"--port={port}", "--read-only=True", f"--tasks_columns={FLOWER_COLUMNS}",
    ]  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | settings.environment()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child; on Ctrl-C or SIGTERM end it too. Returns its exit code, 0 when it was told
    to stop.
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
