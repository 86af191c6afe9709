"""Commands that stay until they are told to stop: who may reach them."""

from __future__ import annotations

import os

from curate.configs.errors import UsageError
from curate.configs.settings import LOOPBACK


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
