"""A client of OpenAI-compatible servers: retries, waits, the key, and what a reply means."""

from __future__ import annotations

import contextlib
import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.configs.errors import CaptionEmpty, CaptionFailed, CaptionRefused, CaptionServer

if TYPE_CHECKING:
    from curate.tasks.captioners.http_post import Reply

LARGEST = 8 << 20  # bytes of a reply
MOST_TOKENS = 2**31 - 1  # that a column takes on Postgres
# timeout, conflict, too early, too many requests; all 5xx are retried, too
_TRY_AGAIN = (408, 409, 425, 429)
# a wrong key, model or address: no clip is to blame unless other requests succeed, for some
# gateways send these codes when they reject a picture
_NOT_THE_CLIP = (401, 403, 404, 405)


@dataclass(frozen=True)
class Server:
    """Address and limits of a server.

    `key_variable` names the environment variable of the key; no key is sent if it is unset.
    """

    url: str
    key_variable: str
    stage: str
    timeout: float = 120  # seconds that one try may take in total
    tries: int = 5
    wait: float = 1  # seconds before the second try, doubled before each further one
    longest_wait: float = 60

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

    def hide_key(self, text: str) -> str:
        """The text without the key, which some servers repeat in their errors."""
        return text.replace(self.key, "***") if len(self.key) >= 4 else text

    def quote(self, text: object) -> str:
        """A server's text for an error message: one line without the key, at most 300 characters.

        The key is removed before the text is cut, so that no half of it remains.
        """
        return self.hide_key(" ".join(str(text).split()))[:300]


@dataclass(frozen=True)
class Completion:
    """The text that the server generated, with the number of tokens read and written.

    None for a number that the server does not tell, or that is absurd.
    """

    text: str
    tokens_in: int | None
    tokens_out: int | None
    revision: str


@dataclass
class Spent:
    """Counts what requests cost. Thread-safe."""

    requests: int = 0
    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def add(
        self, requests: int = 0, tries: int = 0, tokens_in: int = 0, tokens_out: int = 0
    ) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.tries += tries
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out


class Pace:
    """Spaces requests evenly at a number per minute; 0 means no limit. Thread-safe."""

    def __init__(self, per_minute: float) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Block until the next request may be sent."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        time.sleep(start - now)


class TryFailed(Exception):
    """A try failed, but another one may succeed."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after  # seconds, if the server sent them


def ask(server: Server, body: Mapping[str, Any], pace: Pace, spent: Spent) -> Completion:
    """The answer to a chat completion. Waits and tries again where that may help.

    Raises CaptionFailed, CaptionRefused or CaptionEmpty for this request, and CaptionServer if
    every request would fail.
    """
    content = json.dumps(body).encode()
    model = str(body.get("model"))
    wait = server.wait
    _ = server.key  # raises for an invalid key before a try is counted
    spent.add(requests=1)
    for number in range(1, server.tries + 1):
        pace.wait()
        spent.add(tries=1)
        try:
            completion = _read_completion(_post(server, content), model, server)
        except TryFailed as error:
            if number == server.tries:
                raise CaptionFailed(
                    server=server.url,
                    tries=number,
                    why=server.hide_key(str(error)),
                    stage=server.stage,
                ) from None
            pause = error.retry_after
            if pause is None:
                pause = wait * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
            time.sleep(min(server.longest_wait, pause))
            wait *= 2
        else:
            spent.add(tokens_in=completion.tokens_in or 0, tokens_out=completion.tokens_out or 0)
            return completion
    raise AssertionError("the last try returns or raises")


def blame_denied(outcomes: Sequence[Any], stage: str) -> list[Any]:
    """Replace a CaptionServer that denied a request by CaptionFailed if another one succeeded.

    Key, model and address are right then. An unreachable server is never a request's fault.
    """
    answers = (CaptionRefused, CaptionEmpty)
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
        why = str(error) or type(error).__name__
        raise TryFailed(f"the connection was cut: {why}") from None
    if reply.status >= 300:
        raise _status_error(server, reply)
    return reply.content


def _status_error(server: Server, reply: Reply) -> Exception:
    """The exception for an HTTP status of 300 or more."""
    message = reply.content.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(message)
        told = told.get("error", told) if isinstance(told, dict) else told
        message = str(told.get("message", told)) if isinstance(told, dict) else str(told)
    reason = server.quote(reply.reason)
    why = f"it answers {reply.status} {reason}: {server.quote(message)}".rstrip(": ")
    if reply.status in _TRY_AGAIN or reply.status >= 500:
        return TryFailed(why, retry_after(reply.headers.get("Retry-After")))
    if reply.status in _NOT_THE_CLIP or 300 <= reply.status < 400:
        return CaptionServer(server=server.url, why=why, status=reply.status)
    return CaptionFailed(server=server.url, tries=1, why=why, stage=server.stage)


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


def _read_completion(content: bytes, model: str, server: Server) -> Completion:
    """The answer in the body of a reply. Raises TryFailed, CaptionRefused, CaptionEmpty."""
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
    if refusal or reason == "content_filter":
        why = server.quote(refusal or "its content filter")
        raise CaptionRefused(model=model, why=why, stage=server.stage)
    if not text.strip():
        why = f"finish_reason {server.quote(reason)}" if choices else "no choice in the answer"
        raise CaptionEmpty(model=model, why=why)
    tokens_in, tokens_out = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    return Completion(text.strip(), tokens_in, tokens_out, revision)


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
