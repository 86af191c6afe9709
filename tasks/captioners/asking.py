"""The base of stages that ask servers with OpenAI's protocol, several rows at a time."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from curate.configs.errors import AskedOffline, ConfigError
from curate.configs.row_errors import CaptionFailed
from curate.tasks.captioners.openai_client import (
    Completion,
    Counts,
    TryFailed,
    ask,
    ask_until_right,
    blame_denied,
    read_completion,
    told_error,
)
from curate.tasks.servers.server_pool import Server, ServerPool
from curate.tasks.servers.server_stage import (
    Answer,
    OpenGate,
    RequestGate,
    ServerEntry,
    ServerOptions,
    ServerStage,
    Usage,
)
from curate.tasks.stage import Context

log = logging.getLogger(__name__)

MOST_THREADS = 256


def server_of(entry: ServerEntry, stage: str, options: ServerOptions) -> Server:
    """A server as requests are sent to it."""
    price = entry.price or {}
    return Server(
        entry.url,
        entry.key_variable or options.key_variable,
        stage,
        timeout=options.timeout,
        model=entry.model or options.model,
        weight=entry.weight,
        at_a_time=entry.concurrency or options.concurrency,
        per_minute=entry.per_minute or 0,
        prices=(price.get("input", 0.0), price.get("output", 0.0)),
    )


def pool_of(options: ServerOptions, stage: str, gate: RequestGate | None = None) -> ServerPool:
    """The servers that the options name; without a gate requests go through as they come."""
    servers = [server_of(entry, stage, options) for entry in options.entries]
    patience = (options.tries, options.wait, options.longest_wait)
    return ServerPool(servers, gate or OpenGate(), *patience)


class AskingStage(ServerStage):
    """A stage of which each row is a request, or a few. It comes before Stage among the bases, and
    its options are ServerOptions. A subclass has `request_bodies`, and `run`, which calls
    `ask_about`.
    """

    name: ClassVar[str]
    options: Any
    context: Context
    optional = ""  # a key of requests that not every server takes

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError for a missing model or price, or too short a time_limit.

        Raises CaptionServer for a key that no HTTP header can hold.
        """
        source, entries = f"of stage {cls.name}", options.entries
        if not all(entry.model for entry in entries):
            why = "it needs the server's name of a model: model: NAME"
            raise ConfigError(source=source, why=why)
        if not options.model:
            why = "captions are told apart by model: give it besides those of servers"
            raise ConfigError(source=source, why=why)
        if len({entry.url for entry in entries}) < len(entries):
            raise ConfigError(source=source, why="servers holds an address twice")
        if options.max_cost and not all(any((e.price or {}).values()) for e in entries):
            why = "max_cost needs prices, such as price: {input: 0.4, output: 1.6}"
            raise ConfigError(source=source, why=why)
        cls._check_time(options)
        for entry in entries:  # no error when a key is not set: it may be set for the workers
            _ = server_of(entry, cls.name, options).key

    @classmethod
    def _check_time(cls, options: Any) -> None:
        paces = [entry.per_minute or 0 for entry in options.entries]
        batch, each, tries = options.batch_size, sum(paces), options.tries
        paced = 60 * batch / each if all(paces) else 0
        tried = tries * options.timeout + (tries - 1) * options.longest_wait
        clips_text = f"{batch} clips at {each:g} a minute"
        tries_text = f"{tries} tries of {options.timeout:g} s, {options.longest_wait:g} s apart,"
        for seconds, what, option in (
            (paced, clips_text, "batch_size"),
            (tried, tries_text, "tries"),
        ):
            if seconds > options.time_limit:
                limit = f"its time_limit of {options.time_limit:g} s"
                why = f"{what} take {seconds:g} s, more than {limit}"
                raise ConfigError(
                    source=f"of stage {cls.name}",
                    why=f"{why}; raise time_limit or lower {option}",
                )

    def load(self) -> None:
        """Find the servers. No request is sent yet. Raises AskedOffline."""
        if self.options.offline:
            raise AskedOffline(stage=self.name)
        self.pool = pool_of(self.options, self.name, self.context.gate)
        self.counts = Counts()
        # answers of this batch that are there already, by the row and their request
        self._kept: dict[tuple[int, str], str] = {}
        self._until = math.inf

    def request_digest(self) -> str:
        """Hexadecimal digits of the options that change captions."""
        options = self.options.model_dump(mode="json", exclude=set(self.options.change_no_score))
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]

    def usage_of(self, content: str) -> Usage:
        """What an answer cost at the first server's prices."""
        try:
            found = read_completion(content, self.options.model, self.pool.servers[0])
        except TryFailed:
            return Usage()
        return Usage(found.tokens_in or 0, found.tokens_out or 0, found.cost)

    def is_kept(self, row_id: int, digest: str) -> bool:
        """Whether the answer about a row came earlier, or in a file."""
        return (row_id, digest) in self._kept

    def kept(self, row_id: int, digest: str) -> Completion | None:
        """The answer about a row that came earlier, or in a file. Raises StageError."""
        content = self._kept.get((row_id, digest))
        if content is None:
            return None
        server = self.pool.servers[0]
        try:
            return read_completion(content, self.options.model, server).checked()
        except TryFailed as error:
            why = told_error(content, server) or str(error)
            raise CaptionFailed(server=server.url, tries=1, why=why, stage=self.name) from None

    def ask_about(
        self, row_id: int, body: Mapping[str, Any], digest: str, problem: Callable[[str], str]
    ) -> Completion:
        """A server's answer about a row, see ask_until_right. Raises StageError, ServiceError."""

        def spend(found: Completion) -> None:
            usage = Usage(found.tokens_in or 0, found.tokens_out or 0, found.cost)
            answer = Answer(row_id, digest, found.content)
            keeps = not found.error and not problem(found.text)
            self.context.spend(usage, answer if keeps else None)

        def send(body: Mapping[str, Any]) -> Completion:
            counts, until = self.counts, self._until
            return ask(self.pool, body, counts, spend, until, self.optional).checked()

        return ask_until_right(send, body, problem)

    def run(self, row: Any) -> Any:
        """The outcome of one row. Raises RowError, ServiceError."""
        raise NotImplementedError

    def run_batch(self, rows: Sequence[Any]) -> list[Any]:
        """The outcomes, or an error in place of one, with several requests at a time.

        It raises no error of a row, so the runner never asks about a row twice.
        """
        counts, ids = Counts(), [row.id for row in rows]
        self.counts = counts
        self._kept = dict(self.context.answers(self.request_digest(), ids))
        # the last try may begin then
        last = self.options.time_limit * 0.9 - self.options.timeout
        self._until = time.monotonic() + max(last, self.options.time_limit / 2)
        at_a_time = sum(server.at_a_time for server in self.pool.servers)
        with ThreadPoolExecutor(min(at_a_time, len(rows), MOST_THREADS)) as pool:
            futures = [pool.submit(self.run, row) for row in rows]
        # a warning, because the workers of `curate run` log nothing less severe
        log.log(
            logging.WARNING if counts.requests else logging.INFO,
            "%s: %d clips, %d requests in %d tries, %d tokens read, %d written%s",
            self.name,
            len(rows),
            counts.requests,
            counts.tries,
            counts.tokens_in,
            counts.tokens_out,
            f", cost {counts.cost:.4f}" if counts.cost else "",
        )
        outcomes = [future.exception() or future.result() for future in futures]
        return blame_denied(outcomes, self.name)
