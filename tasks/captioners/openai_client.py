"""A client of OpenAI-compatible servers: retries, fail-over, and what a reply means."""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.configs.errors import CaptionServer, CurateError
from curate.configs.row_errors import (
    CaptionEmpty,
    CaptionFailed,
    CaptionMalformed,
    CaptionRefused,
    StageError,
)
from curate.tasks.servers.server_pool import Server, ServerPool

if TYPE_CHECKING:
    from curate.tasks.captioners.http_post import Reply

LARGEST = 8 << 20  # bytes of a reply
LONGEST_TURN = 20_000  # characters of an answer that is sent back
MOST_TOKENS = 2**31 - 1  # that a column takes on Postgres
# timeout, conflict, too early, too many requests; all 5xx are retried, too
_TRY_AGAIN = (408, 409, 425, 429)
# a wrong key, model or address: no clip is to blame unless other requests succeed, for some
# gateways send these codes when they reject a picture
_NOT_THE_CLIP = (401, 403, 404, 405)


@dataclass(frozen=True)
class Completion:
    """The text that the server generated, with the number of tokens read and written.

    None for a number that the server does not tell, or that is absurd.
    """

    text: str
    tokens_in: int | None
    tokens_out: int | None
    revision: str
    cost: float = 0.0
    error: StageError | None = None  # why the text is none

    @property
    def content(self) -> str:
        """A reply from which `read_completion` reads the same."""
        usage = {"prompt_tokens": self.tokens_in, "completion_tokens": self.tokens_out}
        choices = [{"message": {"content": self.text}}]
        reply = {"choices": choices, "usage": usage, "system_fingerprint": self.revision}
        return json.dumps(reply)

    def checked(self) -> Completion:
        """The completion. Raises CaptionRefused, CaptionEmpty."""
        if self.error:
            raise self.error
        return self


@dataclass
class Counts:
    """What requests came to. Thread-safe."""

    requests: int = 0
    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def add(self, **more: float) -> None:
        """Add to counts, by name."""
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)


class TryFailed(Exception):
    """A try failed, but another one may succeed."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after  # seconds, if the server sent them


def ask(
    pool: ServerPool,
    body: Mapping[str, Any],
    counts: Counts,
    received: Callable[[Completion], None] = lambda completion: None,
    until: float = math.inf,
    optional: str = "",
) -> Completion:
    """The answer of a server to a chat completion. Waits and tries again where that may help, at
    another server where there is one. `received` is given the answer before another request may
    take its place. `optional`: a key of the body that not every server takes. One that refuses a
    request with it and answers it without is not sent it again.

    Raises CaptionFailed for this request; CaptionServer if every server refuses it; ServiceError
    where no server has room `until` then (time.monotonic). `Completion.error` is to be looked at.
    """
    for server in pool.servers:
        _ = server.key  # raises for an invalid key before a try is counted
    counts.add(requests=1)
    refused: dict[str, CaptionServer] = {}
    without: set[str] = set()  # addresses of servers that are tried without the optional key
    failed, wait = 0, pool.wait
    while True:
        with pool.asking(refused, until) as server:
            sent = body
            if server.url in without or pool.lacks(server, optional):
                sent = {name: value for name, value in body.items() if name != optional}
            result = _try_once(server, sent, counts)
            if isinstance(result, Completion):
                received(result)
        if isinstance(result, Completion):
            if server.url in without:
                pool.learn_lack(server, optional)
            pool.answered(server)
            return result
        if isinstance(result, CaptionFailed) and optional in sent:
            without.add(server.url)
            continue
        if isinstance(result, CaptionServer):
            pool.rest(server)
            refused[server.url] = result
            if len(refused) == len(pool.servers):  # one that was denied may be the request's fault
                raise next((e for e in refused.values() if "status" in e.fields), result) from None
            continue
        if not isinstance(result, TryFailed):
            raise result
        failed += 1
        if failed == pool.tries:
            why = server.hide_key(str(result))
            fields = {"tries": failed, "why": why, "stage": server.stage}
            raise CaptionFailed(server=server.url, **fields) from None
        pause = result.retry_after
        if pause is None:
            pause = wait * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
        pause = min(pool.longest_wait, pause)
        pool.rest(server, pause)
        time.sleep(pause if len(pool.servers) == 1 else pool.seconds_to_rest(refused, pause))
        wait *= 2


def ask_until_right(
    send: Callable[[Mapping[str, Any]], Completion],
    body: Mapping[str, Any],
    problem: Callable[[str], str],
) -> Completion:
    """The answer to a chat completion; where `problem` tells what is wrong with it, the model is
    told so, and the answer is its next one, right or wrong.
    """
    found = send(body)
    if told := problem(found.text):
        turns = [
            {"role": "assistant", "content": found.text[:LONGEST_TURN]},
            {"role": "user", "content": told},
        ]
        found = send({**body, "messages": [*body["messages"], *turns]})
    return found


def _try_once(
    server: Server, body: Mapping[str, Any], counts: Counts
) -> Completion | CurateError | TryFailed:
    """What a server answers, or the error of the try."""
    counts.add(tries=1)
    model = server.model or str(body.get("model"))
    content = json.dumps({**body, "model": model}).encode()
    try:
        completion = read_completion(_post(server, content), model, server)
    except (TryFailed, CaptionServer, CaptionFailed) as error:
        return error
    counts.add(tokens_in=completion.tokens_in or 0, tokens_out=completion.tokens_out or 0)
    counts.add(cost=completion.cost)
    return completion


def blame_denied(outcomes: Sequence[Any], stage: str) -> list[Any]:
    """Replace a CaptionServer that denied a request by CaptionFailed if another one succeeded.

    Key, model and address are right then. An unreachable server is never a request's fault.
    """
    answers = (CaptionRefused, CaptionEmpty, CaptionMalformed)
    answered = any(not isinstance(o, Exception) or isinstance(o, answers) for o in outcomes)
    return [
        CaptionFailed(**outcome.fields, tries=1, stage=stage)
        if answered and isinstance(outcome, CaptionServer) and "status" in outcome.fields
        else outcome
        for outcome in outcomes
    ]


def _post(server: Server, content: bytes) -> bytes:
    """The body of the reply. Raises TryFailed, CaptionFailed, CaptionServer."""
    import http.client
    import urllib.error

    from curate.tasks.captioners.http_post import TooLarge, post

    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if server.key:
        headers["Authorization"] = f"Bearer {server.key}"
    url = f"{server.url.rstrip('/')}/chat/completions"
    try:
        reply = post(url, content, headers, server.timeout, LARGEST)
    except TimeoutError:
        raise TryFailed(f"no answer within {server.timeout:g} s") from None
    except TooLarge:
        raise TryFailed(f"an answer of more than {LARGEST >> 20} MB") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise TryFailed(f"no answer within {server.timeout:g} s") from None
        if isinstance(error.reason, ConnectionResetError | BrokenPipeError):
            raise TryFailed(f"the connection was cut: {error.reason}") from None
        why = server.hide_key(str(error.reason))
        raise CaptionServer(server=server.url, why=why) from None
    except (http.client.HTTPException, OSError) as error:
        why = server.quote(error) or type(error).__name__  # it may repeat what the server sent
        raise TryFailed(f"the connection was cut: {why}") from None
    if reply.status >= 300:
        raise _status_error(server, reply)
    return reply.content


def _status_error(server: Server, reply: Reply) -> Exception:
    """The exception for an HTTP status of 300 or more."""
    message = told_error(reply.content.decode("utf-8", "replace"), server)
    reason = server.quote(reply.reason)
    why = f"it answers {reply.status} {reason}: {message}".rstrip(": ")
    if reply.status in _TRY_AGAIN or reply.status >= 500:
        return TryFailed(why, retry_after(reply.headers.get("Retry-After")))
    if reply.status in _NOT_THE_CLIP or 300 <= reply.status < 400:
        return CaptionServer(server=server.url, why=why, status=reply.status)
    return CaptionFailed(server=server.url, tries=1, why=why, stage=server.stage)


def told_error(content: str, server: Server) -> str:
    """What a server says went wrong, in the body of its reply."""
    message = content
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(content)
        told = told.get("error", told) if isinstance(told, dict) else told
        message = str(told.get("message", told)) if isinstance(told, dict) else str(told)
    return server.quote(message)


def retry_after(header: str | None) -> float | None:
    """Seconds from a Retry-After header (a number or a date); None if it is neither."""
    if header is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(header)
        return max(0.0, seconds) if seconds < 1e9 else None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return None


def read_completion(content: bytes | str, model: str, server: Server) -> Completion:
    """The answer in the body of a reply. Raises TryFailed where there is none."""
    try:
        # int refuses a number of more than 4300 digits
        reply = json.loads(content, parse_int=lambda n: int(n) if len(n) < 20 else float(n))
        choices, usage = reply["choices"], reply.get("usage")
        choice = choices[0] if choices else {}
        message = choice.get("message") or {}
        text, refusal = _message_text(message.get("content")), message.get("refusal")
        reason = choice.get("finish_reason")
        revision = str(reply.get("system_fingerprint") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {server.quote(error)}"
        raise TryFailed(f"the answer is not what the protocol says: {why}") from None
    failure: StageError | None = None
    if refusal or reason == "content_filter":
        why = server.quote(refusal or "its content filter")
        failure = CaptionRefused(model=model, why=why, stage=server.stage)
    elif not text.strip():
        why = f"finish_reason {server.quote(reason)}" if choices else "no choice in the answer"
        failure = CaptionEmpty(model=model, why=why)
    tokens_in, tokens_out = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    cost = server.cost(tokens_in or 0, tokens_out or 0)
    return Completion(text.strip(), tokens_in, tokens_out, revision, cost, failure)


def _tokens(usage: Any, name: str) -> int | None:
    """A count of the server's `usage`; None if it is missing or cannot be a count."""
    try:
        count = int(usage[name])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    return count if 0 <= count <= MOST_TOKENS else None


def _message_text(content: Any) -> str:
    """The text of a message, whose content is a string or a list of parts. Raises TypeError."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content or ""
