"""Commands that stay until they are told to stop: who may reach them, and what a signal does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from curate.configs.errors import UsageError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside the block SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_open_address(address: str, port: int, login_variable: str) -> None:
    """Raise UsageError for an address that others can reach, unless a login is asked for.

    `login_variable` is the environment variable that holds the login, user:password.
    """
    if address in LOOPBACK or os.environ.get(login_variable):
        return
    raise UsageError(
        what=f"--address {address} can be reached by others. Ask for a login with the environment"
        f" variable {login_variable}=user:password, or keep 127.0.0.1 and use:"
        f" ssh -L {port}:127.0.0.1:{port} HOST"
    )


def url_of(address: str, port: int) -> str:
    """The URL of what listens on an address, which may be one of IPv6."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
