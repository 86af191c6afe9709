"""Chooses which of several servers gets a request: by weight and load, and never one that is down.

A server that failed rests, for twice as long each time, and is asked again by the next request
after that; where all rest, the one that rests least is asked.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from curate.configs.errors import CaptionServer
from curate.tasks.servers.server_stage import OpenGate, RequestGate, ServerLimit

log = logging.getLogger(__name__)

FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds


@dataclass(frozen=True)
class Server:
    """Address and limits of a server.

    `key_variable` names the environment variable of the key; no key is sent if it is unset. An
    empty `model` is that of the request. Prices are of a million tokens read and written.
    """

    url: str
    key_variable: str
    stage: str
    timeout: float = 120  # seconds that one try may take in total
    model: str = ""
    weight: float = 1.0
    at_a_time: int = 256
    per_minute: float = 0.0
    prices: tuple[float, float] = (0.0, 0.0)

    @property
    def key(self) -> str:
        """The key, read from the environment each time and never stored.

        Raises CaptionServer if it is not valid in a header.
        """
        key = os.environ.get(self.key_variable, "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            why = (
                f"the key in {self.key_variable} holds blanks, line breaks or letters "
                "that are not ASCII"
            )
            raise CaptionServer(server=self.url, why=why)
        return key

    @property
    def limit(self) -> ServerLimit:
        """What it takes of all processes together."""
        return ServerLimit(self.url, self.at_a_time, self.per_minute)

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """What an answer of so many tokens costs."""
        return (tokens_in * self.prices[0] + tokens_out * self.prices[1]) / 1e6

    def hide_key(self, text: str) -> str:
        """The text without the key, which some servers repeat in their errors."""
        return text.replace(self.key, "***") if len(self.key) >= 4 else text

    def quote(self, text: object) -> str:
        """A server's text for an error message: one line without the key, at most 300 characters.

        The key is removed before the text is cut, so that no half of it remains.
        """
        return self.hide_key(" ".join(str(text).split()))[:300]


@dataclass
class _State:
    """How a server does, as this process sees it."""

    under_way: int = 0
    asked: int = 0
    rest: float = 0.0  # seconds of its last rest since it answered
    rests_until: float = 0.0  # by time.monotonic
    lacks: set[str] = field(default_factory=set)  # keys of requests that it refuses


@dataclass(frozen=True)
class ServerPool:
    """Servers that do the same, and the gate to them. Thread-safe."""

    servers: Sequence[Server]
    gate: RequestGate = field(default_factory=OpenGate)
    tries: int = 5
    wait: float = 1  # seconds before the second try, doubled before each further one
    longest_wait: float = 60
    _states: dict[str, _State] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @contextmanager
    def asking(self, without: Collection[str], until: float) -> Iterator[Server]:
        """The best server for a request, which it is sent within the block.

        `without`: addresses of servers that refused it. `until` (time.monotonic): when to give up
        waiting. Raises ServiceError then.
        """
        with self._lock:
            time_now = time.monotonic()
            server = min(
                (s for s in self.servers if s.url not in without),
                key=lambda s: self._rank(s, time_now),
            )
            state = self._state(server)
            state.under_way += 1
            state.asked += 1
        try:
            with self.gate.permit(server.limit, until - time_now):
                yield server
        finally:
            with self._lock:
                state.under_way -= 1

    def _rank(self, server: Server, time_now: float) -> tuple[float, float, float]:
        state = self._state(server)
        rest = max(0.0, state.rests_until - time_now)
        return rest, state.under_way / server.weight, (state.asked + 1) / server.weight

    def _state(self, server: Server) -> _State:
        return self._states.setdefault(server.url, _State())

    def rest(self, server: Server, at_least: float = 0.0) -> None:
        """Ask others for a while, in seconds: twice as long as the last time."""
        with self._lock:
            state, time_now = self._state(server), time.monotonic()
            if time_now >= state.rests_until:  # else it failed for the same reason
                state.rest = min(LONGEST_REST, max(FIRST_REST, 2 * state.rest))
            state.rests_until = max(state.rests_until, time_now + max(state.rest, at_least))

    def answered(self, server: Server) -> None:
        """It works."""
        with self._lock:
            self._state(server).rest = 0.0

    def lacks(self, server: Server, key: str) -> bool:
        """Whether it refused requests with this key before, and answered those without."""
        with self._lock:
            return key in self._state(server).lacks

    def learn_lack(self, server: Server, key: str) -> None:
        """It answered a request without a key that it had refused with it."""
        with self._lock:
            new = key not in self._state(server).lacks
            self._state(server).lacks.add(key)
        if new:
            log.warning("the server %s takes no %s; it is asked without", server.url, key)

    def seconds_to_rest(self, without: Collection[str], most: float) -> float:
        """How long a request waits that may not go to some servers: 0 where another one is up."""
        with self._lock:
            time_now = time.monotonic()
            others = [self._state(s).rests_until for s in self.servers if s.url not in without]
        return min([most, *(max(0.0, until - time_now) for until in others)])
