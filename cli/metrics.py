"""`curate metrics`: numbers for Prometheus."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Annotated

import typer

from curate.cli.shared.serving import refuse_open_address, url_of
from curate.cli.shared.session import Session
from curate.configs.errors import ServiceError, UsageError
from curate.worker.messages import Messages, make_app
from curate.worker.metrics import as_text, registry, server
from curate.worker.session.database import open_database
from curate.worker.session.signals import signals_interrupt

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
    if not once:
        check_login(os.environ.get(LOGIN, ""))
        refuse_open_address(address, port, LOGIN)
    engine = open_database(session)
    with closing(Messages(make_app(session.settings))) as messages:
        numbers = registry(engine, messages)
        if once:
            print(as_text(numbers), end="")
            return
        try:
            serving = server(numbers, address, port, os.environ.get(LOGIN, ""))
        except OSError as error:
            why = f"{error.strerror or error}. Choose another one with --port"
            raise ServiceError(what=f"The port {port} of {address}", why=why) from None
        with signals_interrupt(), serving:
            session.console.say(f"metrics: {url_of(address, port)}/metrics   (Ctrl-C stops it)")
            try:
                serving.serve_forever()
            except KeyboardInterrupt:
                return


def check_login(login: str) -> None:
    """Raise UsageError for a login that is not user:password; an empty one asks for none."""
    user, colon, password = login.partition(":")
    if login and not (user and colon and password):
        raise UsageError(what=f"{LOGIN} must be user:password")
