"""Flower as `curate flower` starts it: it answers to its own names only, and ends with its parent.

A page of another site can have its name resolve to 127.0.0.1 (DNS rebinding), and then reads what
the browser gets from there. But the browser still names that site as the host, and nothing is
answered to such a request: no page, no API, no metrics.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Collection
from typing import Any

from flower import command
from flower.app import Flower
from tornado.httputil import HTTPServerRequest
from tornado.web import ErrorHandler

from curate.worker.stopping import end_with_parent

log = logging.getLogger(__name__)


class GuardedFlower(Flower):  # type: ignore[misc]
    """Flower, which answers 403 to a request for a host that is not in `hosts`."""

    hosts: Collection[str] = ()
    reaches_all = False  # whether it listens for others: then any IP address may be its own

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """The handler of a request, whatever its path."""
        if is_own(request.host_name, self.hosts, self.reaches_all):
            return super().find_handler(request, **options)
        log.warning("refused a request for the host %.100r; see curate flower --host", request.host)
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})


def is_own(name: str, hosts: Collection[str], reaches_all: bool) -> bool:
    """Whether a Host header names this server: by one of `hosts`, or by an IP address.

    Only a loopback address will do unless the server `reaches_all`.
    """
    bare = name.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if bare in hosts:
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    return reaches_all or address.is_loopback


def main() -> None:
    """Run Flower. Arguments: the hosts, separated by commas; its address; options of Flower."""
    end_with_parent()
    hosts, address, *options = sys.argv[1:]
    GuardedFlower.hosts = frozenset(hosts.lower().split(","))
    GuardedFlower.reaches_all = address not in ("127.0.0.1", "::1", "localhost")
    command.Flower = GuardedFlower
    from celery.__main__ import main as celery

    words = ["--quiet", "-A", "curate.worker.app", "flower", f"--address={address}", *options]
    sys.argv = ["celery", *words]
    celery()


if __name__ == "__main__":
    main()
