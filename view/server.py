"""The server of the pages: one thread runs an event loop, others read the database and files."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from curate.view import clip, clips, datasets, failed, funnel, media, scores
from curate.view.security import Access, Asset, Guarded, Nothing
from curate.view.state import Home

STATIC = Path(__file__).parent / "static"
PAGES = (datasets, funnel, scores, clips, clip, failed, media)  # each module has ROUTES
READERS = 8  # threads that read; further requests wait
LARGEST_REQUEST = 1 << 16  # bytes


class Index(Guarded):
    """The page that loads all others."""

    async def get(self) -> None:
        """The page, which is the same for everyone."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write((STATIC / "index.html").read_bytes())

    head = get


def make_app(home: Home, access: Access, pool: ThreadPoolExecutor) -> Application:
    """The application with all pages. `access` says who is let in; what reads runs in `pool`."""
    routes: list[Any] = [route for page in PAGES for route in page.ROUTES]
    asset = r"/static/((?:vendor/)?[\w.-]+\.(?:js|css))"
    return Application(
        [(r"/", Index), (asset, Asset, {"path": str(STATIC)}), *routes],
        home=home,
        access=access,
        pool=pool,
        default_handler_class=Nothing,
        log_function=lambda handler: None,  # which pages somebody opened is not logged
    )


def serve(home: Home, access: Access, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve the pages on a socket that listens, until a signal raises KeyboardInterrupt.

    `ready` is called when requests are answered.
    """

    async def forever(pool: ThreadPoolExecutor) -> None:
        server = HTTPServer(make_app(home, access, pool), max_body_size=LARGEST_REQUEST)
        server.add_socket(listening)
        ready()
        await asyncio.Event().wait()

    with ExitStack() as stack:
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="view")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        asyncio.run(forever(pool))
