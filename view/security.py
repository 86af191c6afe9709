"""Lets in who may see the pages: the base of every handler.

The pages show pictures and texts of rows, so no other user of the host, and no page of another
site that the browser has open, may get at them:

- the URL holds a token, which becomes a cookie that scripts cannot read and that no other site's
  page sends;
- a request by another name than the page's is refused, since anybody can make a name of theirs lead
  to this address (DNS rebinding);
- only GET and HEAD are answered, and no request changes anything.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import math
import secrets
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from curate.configs.errors import (
    ConfigError,
    CurateError,
    NoDatasets,
    NoSuchDataset,
    ServiceError,
    UsageError,
)
from curate.configs.row_errors import RowError
from curate.db.engine import row_is_gone
from curate.db.readonly.engine import was_stopped
from curate.view.pools import Pools
from curate.view.state import Home, ShownDataset

P = ParamSpec("P")
T = TypeVar("T")

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LARGEST_ID = 2**63 - 1
GRACE_SECONDS = 5.0  # on top of what the database may take

# the HTTP status of an error of curate
_STATUS: tuple[tuple[type[CurateError], int], ...] = (
    (NoSuchDataset, 404),
    (NoDatasets, 404),
    (RowError, 404),  # samples or a file that are not there
    (UsageError, 400),
    (ConfigError, 400),
    (ServiceError, 503),
)


@dataclass
class Access:
    """Who is let in. `hosts` are the names and addresses that browsers may reach the page by.

    `token` is good as long as the server runs. `token_for_once` is good for one request: it goes to
    the browser's command line, which other users of the host can see.
    """

    hosts: Collection[str]
    cookie: str  # its name; it tells ports apart, since all ports of a host share their cookies
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    token_for_once: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def admits(self, token: str) -> bool:
        """Whether a URL with this token opens the page."""
        if self.token_for_once and hmac.compare_digest(
            token.encode(), self.token_for_once.encode()
        ):
            self.token_for_once = ""
            return True
        return hmac.compare_digest(token.encode(), self.token.encode())


class Refusal(HTTPError):
    """An answer other than 200, with a message for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status)
        self.message = message


class Guarded(RequestHandler):
    """A handler that answers only those who are let in."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    @property
    def access(self) -> Access:
        """Who is let in."""
        access: Access = self.settings["access"]
        return access

    def set_default_headers(self) -> None:
        """The headers of every answer, errors too."""
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse a foreign name, a page of another site, and a request without token or cookie."""
        host = self.request.host.lower()
        name = host.rpartition("]")[0].lstrip("[") if host[:1] == "[" else host.partition(":")[0]
        if name not in self.access.hosts:
            raise Refusal(403, f"This page is not known as {name}; give it that name with --host")
        token = self.get_query_argument("token", "") if self.request.path == "/" else ""
        if token and self.access.admits(token):
            self.set_cookie(
                self.access.cookie, self.access.token, httponly=True, samesite="Strict", path="/"
            )
            return
        if self.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "A page of another site sent this request")
        cookie = self.get_cookie(self.access.cookie) or ""
        if not hmac.compare_digest(cookie.encode(), self.access.token.encode()):
            raise Refusal(403, "Open the URL that curate view printed: it holds a token")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The message as JSON; what the program did not expect stays in its log."""
        error = kwargs.get("exc_info", (None, None))[1]
        self.set_header("Content-Type", "application/json")
        self.finish(json_text({"error": getattr(error, "message", self._reason)}))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what the program did not expect."""
        if not isinstance(value, HTTPError):
            logging.getLogger("curate.view").error("%s", self.request.path, exc_info=value)


class Asset(Guarded, StaticFileHandler):
    """A file of the page itself: a script or a style."""


class Page(Guarded):
    """A handler that reads rows. Its arguments are checked: a wrong one gives 400."""

    @property
    def home(self) -> Home:
        """What all pages share."""
        home: Home = self.settings["home"]
        return home

    async def head(self, *arguments: str) -> None:
        """As GET; tornado leaves out the body."""
        await self.get(*arguments)  # type: ignore[misc]

    @property
    def pools(self) -> Pools:
        """The threads that read."""
        pools: Pools = self.settings["pools"]
        return pools

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function returns that reads a few rows: `work_in` the threads for what is
        quick.
        """
        return await self.work_in(self.pools.quick, function, *args, **kwargs)

    async def work_in(
        self, pool: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What a function returns that reads a database or a file: it runs in another thread.

        An error of curate becomes the answer; what takes too long gives 503, and what was deleted
        between two reads 404.
        """
        seconds = self.home.settings.sql_seconds
        running = asyncio.wrap_future(pool.submit(function, *args, **kwargs))
        try:
            return await asyncio.wait_for(running, seconds + GRACE_SECONDS)
        except TimeoutError:
            raise Refusal(503, f"This takes longer than {seconds:g} s") from None
        except CurateError as error:
            if isinstance(error, ServiceError) and was_stopped(error):
                raise Refusal(503, f"This takes longer than {seconds:g} s") from None
            if isinstance(error, ServiceError) and row_is_gone(error):
                raise Refusal(404, "It was deleted just now") from None
            raise self.refusal(error) from error

    def refusal(self, error: CurateError) -> Refusal:
        """An error of curate as an answer, with commands that run as they are printed."""
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        name = self.text("dataset") or self.home.name
        return Refusal(status, self.home.advise(str(error), name))

    async def shown(self) -> ShownDataset:
        """The dataset that the argument `dataset` names, or the one that is shown first."""
        return await self.work(self.home.open, self.text("dataset"))

    def send_json(self, value: Any) -> None:
        """Answer with JSON. NaN and infinity become null."""
        self.set_header("Content-Type", "application/json")
        self.write(json_text(value))

    def text(self, name: str, default: str = "", longest: int = 1000) -> str:
        """A text among the arguments."""
        value = self.get_query_argument(name, default)
        if len(value) > longest:
            raise Refusal(400, f"{name} is longer than {longest} characters")
        return value

    def choice(self, name: str, among: Collection[str], default: str = "") -> str:
        """One of several texts, or the default."""
        value = self.text(name, default)
        if value != default and value not in among:
            raise Refusal(400, f"{name} is one of: {', '.join(among)}")
        return value

    def integer(self, name: str, default: int, low: int = 0, high: int = LARGEST_ID) -> int:
        """A whole number in a range, or the default."""
        value = self.text(name, str(default))
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 20 and low <= int(value) <= high:
            return int(value)
        raise Refusal(400, f"{name} is a whole number from {low} to {high}")


class Nothing(Page):
    """Every path that no other handler has."""

    async def get(self, *arguments: str) -> None:
        """Answer with 404."""
        raise Refusal(404, "There is no such page")


def json_text(value: Any) -> str:
    """JSON that may also stand in a page: without NaN, and with `<` as an escape."""
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    """The value with None for each float that JSON has no form for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
