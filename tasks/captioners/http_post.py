"""An HTTP POST that ends at its deadline, however slowly the server takes it or answers.

The timeout of a socket begins anew with each byte, and holds no look-up of a name. So the request
runs in a thread of its own, whose socket is shut when the time is over.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


class TooLarge(Exception):
    """The answer is larger than the caller takes."""


@dataclass(frozen=True)
class Reply:
    """What a server answered, whatever the status; `content` is its body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


def post(
    url: str, content: bytes, headers: Mapping[str, str], seconds: float, largest: int
) -> Reply:
    """The reply to a POST, complete within `seconds`. No redirect is followed.

    The body of an error that cannot be read whole is empty. Raises TimeoutError, TooLarge for more
    than `largest` bytes, URLError for a server that is not there, HTTPException or OSError for a
    connection that was cut.
    """
    request = _Request(url, content, dict(headers))
    answer: Future[Reply] = Future()

    def exchange() -> None:
        try:
            answer.set_result(_exchange(request, seconds, largest))
        except BaseException as error:  # noqa: BLE001  raised where the answer is waited for
            answer.set_exception(error)

    threading.Thread(target=exchange, name="http-post", daemon=True).start()
    try:
        return answer.result(seconds)
    finally:
        if not answer.done():
            request.shut()


def _exchange(request: _Request, seconds: float, largest: int) -> Reply:
    try:
        response = _OPENER.open(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        content = b""
        errors = (TooLarge, http.client.HTTPException, OSError, ValueError)
        with contextlib.suppress(*(errors if response.status >= 300 else ())):
            content = _read_all(response, largest)
        return Reply(response.status, str(response.reason), response.headers, content)


def _read_all(response: Any, largest: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        size += len(part)
        parts.append(part)
        if size > largest:
            raise TooLarge
    if response.length:  # bytes that the header announced and that never came
        raise ConnectionError("the answer is not whole")
    return b"".join(parts)


class _Request(urllib.request.Request):
    """A request that knows the sockets it was sent through."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.sockets: list[socket.socket] = []

    def shut(self) -> None:
        """End every read and write of the request."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                # not SSLSocket.shutdown, which takes away what the other thread is reading with
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would send the key to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Recording(urllib.request.AbstractHTTPHandler):
    """Tells the request which socket it is sent through."""

    def do_open(self, http_class: Any, req: Any, **arguments: Any) -> Any:
        def connection(*places: Any, **options: Any) -> http.client.HTTPConnection:
            made: http.client.HTTPConnection = http_class(*places, **options)
            connect = made.connect

            def recorded() -> None:
                connect()
                req.sockets.append(made.sock)

            made.connect = recorded  # type: ignore[method-assign]
            return made

        return super().do_open(connection, req, **arguments)


class _HTTPHandler(_Recording, urllib.request.HTTPHandler):
    pass


class _HTTPSHandler(_Recording, urllib.request.HTTPSHandler):
    pass


_OPENER = urllib.request.build_opener(_NoRedirect, _HTTPHandler, _HTTPSHandler)
