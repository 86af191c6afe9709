"""The server of the pages: on one thread an event loop, on others what reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from curate.view import clip, clips, datasets, failed, funnel, media, scores, search
from curate.view.pools import Pools
from curate.view.security import Access, Asset, Guarded, Nothing
from curate.view.state import Home
from curate.view.text_tower import TextTowerProcess

STATIC = Path(__file__).parent / "static"
PAGES = (datasets, funnel, scores, clips, clip, failed, search, media)  # each module has ROUTES
LARGEST_REQUEST = 1 << 16  # bytes


class Index(Guarded):
    """The page that loads all others."""

    async def get(self) -> None:
        """The page, which is the same for everyone."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write((STATIC / "index.html").read_bytes())

    head = get


def make_app(home: Home, access: Access, pools: Pools) -> Application:
    """All pages, for who is let in; what reads runs in `pools`."""
    routes: list[Any] = [route for page in PAGES for route in page.ROUTES]
    asset = r"/static/((?:vendor/)?[\w.-]+\.(?:js|css))"
    return Application(
        [(r"/", Index), (asset, Asset, {"path": str(STATIC)}), *routes],
        home=home,
        access=access,
        pools=pools,
        text_tower=TextTowerProcess(),  # who serves them ends it
        default_handler_class=Nothing,
        log_function=lambda handler: None,  # which pages somebody opened is not logged
    )


def serve(home: Home, access: Access, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve the pages on a socket that listens, until a signal raises KeyboardInterrupt.

    `ready` is called when requests are answered.
    """

    async def forever(pools: Pools) -> None:
        app = make_app(home, access, pools)
        server = HTTPServer(app, max_body_size=LARGEST_REQUEST)
        server.add_socket(listening)
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            await app.settings["text_tower"].end()

    with closing(Pools()) as pools:
        asyncio.run(forever(pools))
