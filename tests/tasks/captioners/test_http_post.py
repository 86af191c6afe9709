"""A POST ends at its deadline, and says what the server answered; more in test_openai_client."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator

import pytest

from curate.tasks.captioners.http_post import Reply, TooLarge, post
from tests.caption_server import CaptionServer, caption_server

BODY = json.dumps({"messages": [{"content": [{"type": "text", "text": "x"}]}]}).encode()


@pytest.fixture
def server() -> Iterator[CaptionServer]:
    with caption_server() as started:
        yield started


def posted(server: CaptionServer, deed: str, seconds: float = 30, largest: int = 9999) -> Reply:
    server.usual = (deed,)
    return post(server.url, BODY, {"X-Mine": "1"}, seconds, largest)


def test_the_reply_is_whole_whatever_its_status(server: CaptionServer) -> None:
    good, bad = posted(server, "good"), posted(server, "status 429 7")
    assert (good.status, b"runs." in good.content) == (200, True)
    assert (bad.status, bad.reason, bad.headers["Retry-After"]) == (429, "Too Many Requests", "7")
    assert b"no such luck" in bad.content
    assert server.headers[0]["X-Mine"] == "1"


@pytest.mark.parametrize("deed", ["slow 0.6", "drip", "dribble 200", "dribble 500", "continue"])
def test_a_slow_answer_ends_at_the_deadline(server: CaptionServer, deed: str) -> None:
    with pytest.raises(TimeoutError):
        posted(server, deed, seconds=0.3)


def test_other_failures(server: CaptionServer) -> None:
    with pytest.raises(TooLarge):
        posted(server, "good", largest=5)
    with pytest.raises(OSError, match=r"reset|whole"):
        posted(server, "cut")
    with pytest.raises(urllib.error.URLError):
        post("http://127.0.0.1:1/", BODY, {}, 5, 9)
