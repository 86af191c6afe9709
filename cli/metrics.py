"""`curate metrics`: numbers for Prometheus."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.shared.database import open_database
from curate.cli.shared.serving import LOOPBACK, signals_interrupt
from curate.cli.shared.session import Session
from curate.configs.errors import ServiceError, UsageError
from curate.worker.messages import Messages, make_app
from curate.worker.metrics import as_text, registry, server

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


LOGIN = "CURATE_METRICS_AUTH"


def metrics(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 9808,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    once: Annotated[bool, typer.Option("--once", help="Print the metrics and end.")] = False,
) -> None:
    """Serve numbers for Prometheus: rows by stage and status, rates, seconds, failures, workers,
    queues.

    They are computed from the database when asked for, at most every 10 seconds; one such server
    for all hosts is enough. It listens on this host alone. On another address it needs a login, in
    the environment variable CURATE_METRICS_AUTH=user:password.

    Example:
      curate metrics --port 9808
      curate metrics --once
    """
    session = Session.of(ctx)
    login = os.environ.get(LOGIN, "")
    if not once:
        refuse_open(address, login, port)
    engine = open_database(session)
    with closing(Messages(make_app(session.settings))) as messages:
        numbers = registry(engine, messages)
        if once:
            print(as_text(numbers), end="")
            return
        with signals_interrupt(), _listening(numbers, address, port, login) as serving:
            shown = f"[{address}]" if ":" in address else address
            session.console.say(f"metrics: http://{shown}:{port}/metrics   (Ctrl-C stops it)")
            try:
                serving.serve_forever()
            except KeyboardInterrupt:
                return


def refuse_open(address: str, login: str, port: int) -> None:
    """Raise UsageError for an address that others can reach without a login, or for a login that is
    none.
    """
    user, colon, password = login.partition(":")
    if login and not (user and colon and password):
        raise UsageError(what=f"{LOGIN} must be user:password")
    if not login and address not in LOOPBACK:
        raise UsageError(
            what=f"--address {address} can be reached by others. Ask for a login with the environment variable"
            f" {LOGIN}=user:password, or keep 127.0.0.1 and use: ssh -L {port}:127.0.0.1:{port} HOST"
        )


def _listening(numbers: Any, address: str, port: int, login: str) -> WSGIServer:
    try:
        return server(numbers, address, port, login)
    except OSError as error:
        why = f"{error.strerror or error}. Choose another one with --port"
        raise ServiceError(what=f"The port {port} of {address}", why=why) from None
