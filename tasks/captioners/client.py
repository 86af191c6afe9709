"""Asks a server that speaks OpenAI's protocol: retries, waits, the key, and what an answer means."""

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
from functools import cache
from typing import Any

from curate.configs.errors import CaptionEmpty, CaptionFailed, CaptionRefused, CaptionServer

LARGEST = 8 << 20  # bytes of an answer
# 408 timeout, 409 conflict, 425 too early, 429 too many; and every failure of the server
_AGAIN = (408, 409, 425, 429)
# a wrong key, model or address: no clip is to blame, unless others are answered: some gateways
# answer so for a picture that they do not like
_NOT_THE_CLIP = (401, 403, 404, 405)


@dataclass(frozen=True)
class Server:
    """Where and how to ask. `key_variable` names the environment variable of the key; an unset one:
    no key.
    """

    url: str
    key_variable: str
    stage: str
    timeout: float = 120  # seconds that a try may take in all
    tries: int = 5
    wait: float = 1  # seconds before the second try; twice as many before each that follows
    longest_wait: float = 60

    @property
    def key(self) -> str:
        """The key, read when it is needed and kept nowhere. Raises CaptionServer for one that no
        header takes.
        """
        key = os.environ.get(self.key_variable, "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            why = f"the key in {self.key_variable} holds blanks, line breaks or letters that are not ASCII"
            raise CaptionServer(server=self.url, why=why)
        return key


@dataclass(frozen=True)
class Answer:
    """The text of an answer, and the tokens read and written for it."""

    text: str
    tokens_in: int
    tokens_out: int
    revision: str


@dataclass
class Spent:
    """What requests have cost since it was made or taken; safe to use from threads."""

    requests: int = 0
    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def add(
        self, requests: int = 0, tries: int = 0, tokens_in: int = 0, tokens_out: int = 0
    ) -> None:
        """Count more."""
        with self._lock:
            self.requests += requests
            self.tries += tries
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out


class Pace:
    """Lets so many requests a minute pass, evenly; 0: any number. Safe to use from threads."""

    def __init__(self, per_minute: float) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next request may be sent."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)


class _Again(Exception):
    """A try failed, and another one may not."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after  # seconds to wait, as the server says


def ask(server: Server, body: Mapping[str, Any], pace: Pace, spent: Spent) -> Answer:
    """The answer to a chat completion. Waits and tries again where that may help.

    Raises CaptionFailed, CaptionRefused or CaptionEmpty, which are about this request, and
    CaptionServer, which is about all of them.
    """
    content = json.dumps(body).encode()
    model = str(body.get("model"))
    wait, key = server.wait, server.key
    spent.add(requests=1)
    for number in range(1, server.tries + 1):
        pace.wait()
        spent.add(tries=1)
        try:
            answer = _read(_post(server, content), model, server)
        except _Again as error:
            if number == server.tries:
                why = _hidden(str(error), key)
                raise CaptionFailed(
                    server=server.url, tries=number, why=why, stage=server.stage
                ) from None
            pause = error.after
            if pause is None:
                pause = wait * random.uniform(0.5, 1)  # noqa: S311  a spread, no secret
            time.sleep(min(server.longest_wait, pause))
            wait *= 2
        else:
            spent.add(tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)
            return answer
    raise AssertionError("the last try returns or raises")


def blamed(outcomes: Sequence[Any], stage: str) -> list[Any]:
    """Outcomes of requests, and errors in the place of some: CaptionFailed where one was denied and
    another answered.

    Key, model and address are right then. A server that is not there is never a request's fault.
    """
    answers = (CaptionRefused, CaptionEmpty)
    if all(isinstance(one, Exception) and not isinstance(one, answers) for one in outcomes):
        return list(outcomes)
    return [_denied(one, stage) if isinstance(one, CaptionServer) else one for one in outcomes]


def _denied(error: CaptionServer, stage: str) -> CaptionServer | CaptionFailed:
    return (
        CaptionFailed(**error.fields, tries=1, stage=stage) if "status" in error.fields else error
    )


def _post(server: Server, content: bytes) -> bytes:
    """The body of the answer. Raises _Again, CaptionFailed, CaptionServer."""
    import http.client
    import urllib.error
    import urllib.request

    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if server.key:
        headers["Authorization"] = f"Bearer {server.key}"
    url = f"{server.url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, content, headers)  # noqa: S310  http or https: the option is checked
    deadline = time.monotonic() + server.timeout
    try:
        with _opener().open(request, timeout=server.timeout) as response:
            return _whole(response, deadline)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(server, error, deadline) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Again(f"no answer within {server.timeout:g} s") from None
        if isinstance(error.reason, ConnectionResetError | BrokenPipeError):
            raise _Again(f"the connection was cut: {error.reason}") from None
        raise CaptionServer(server=server.url, why=_hidden(str(error.reason), server.key)) from None
    except TimeoutError:
        raise _Again(f"no answer within {server.timeout:g} s") from None
    except (http.client.HTTPException, OSError) as error:
        raise _Again(f"the connection was cut: {str(error) or type(error).__name__}") from None


@cache
def _opener() -> Any:
    """Opens no other address than the one asked for: a redirection would be sent the key."""
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return urllib.request.build_opener(Stay)


def _whole(response: Any, deadline: float) -> bytes:
    """All bytes of a response. A server that sends a byte now and then does not outlive the
    deadline.
    """
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        size += len(part)
        parts.append(part)
        if size > LARGEST:
            raise _Again(f"an answer of more than {LARGEST >> 20} MB")
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:  # what the header promised and never came
        raise _Again("the connection was cut: the answer is not whole")
    return b"".join(parts)


def _refused(server: Server, error: Any, deadline: float) -> Exception:
    """What an error status means."""
    said = b""
    with contextlib.suppress(_Again, OSError, ValueError):
        said = _whole(error, deadline)
    why = f"it answers {error.code} {_told(error.reason, server)}: {_told(_message(said), server)}".rstrip(
        ": "
    )
    if error.code in _AGAIN or error.code >= 500:
        return _Again(why, _seconds(error.headers.get("Retry-After")))
    if error.code in _NOT_THE_CLIP or 300 <= error.code < 400:
        return CaptionServer(server=server.url, why=why, status=error.code)
    return CaptionFailed(server=server.url, tries=1, why=why, stage=server.stage)


def _message(said: bytes) -> str:
    text = said.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    return text


def _seconds(header: str | None) -> float | None:
    """The header Retry-After: seconds, or a date. None where it says neither."""
    if header is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(header)
        return max(0.0, seconds) if seconds < 1e9 else None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return None


def _hidden(text: str, key: str) -> str:
    """The text without the key, which servers repeat in their errors."""
    return text.replace(key, "***") if len(key) >= 4 else text


def _told(said: object, server: Server) -> str:
    """What a server says, for an error: a line without the key, cut only then, lest half of it be
    left.
    """
    return _hidden(" ".join(str(said).split()), server.key)[:300]


def _read(content: bytes, model: str, server: Server) -> Answer:
    """The answer in a response. Raises _Again, CaptionRefused, CaptionEmpty."""
    try:
        said = json.loads(content)
        choices = said["choices"]
        usage = said.get("usage") or {}
        tokens_in, tokens_out = (
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
        )
        choice = choices[0] if choices else {}
        message = choice.get("message") or {}
        text, refusal = _text(message.get("content")), message.get("refusal")
        reason = choice.get("finish_reason")
        revision = str(said.get("system_fingerprint") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {_told(error, server)}"
        raise _Again(f"the answer is not what the protocol says: {why}") from None
    if refusal or reason == "content_filter":
        raise CaptionRefused(
            model=model, why=_told(refusal or "its content filter", server), stage=server.stage
        )
    if not text.strip():
        why = f"finish_reason {_told(reason, server)}" if choices else "no choice in the answer"
        raise CaptionEmpty(model=model, why=why)
    return Answer(text.strip(), tokens_in, tokens_out, revision)


def _text(content: Any) -> str:
    """The text of a message: itself, or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content or ""
