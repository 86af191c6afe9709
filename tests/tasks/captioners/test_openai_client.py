"""What becomes of a request, by what the server does: a real one on loopback."""

from __future__ import annotations

import email.utils
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from curate.configs.errors import CaptionServer
from curate.configs.row_errors import CaptionEmpty, CaptionFailed, CaptionRefused
from curate.tasks.captioners.openai_client import Counts, ask, retry_after
from curate.tasks.servers.server_pool import Server, ServerPool
from tests.caption_server import KEY, caption_server
from tests.caption_server import CaptionServer as Misbehaving
from tests.pipelines import wait_until

BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "describe"}]}],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("MY_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with caption_server() as started:
        yield started


def asking(server: Misbehaving, *deeds: str, counts: Counts | None = None, **changes: Any) -> str:
    server.usual = deeds
    place: dict[str, Any] = {"url": server.url, "key_variable": "MY_KEY", "timeout": 5}
    of_server = {name: changes.pop(name) for name in place if name in changes}
    pool = ServerPool(
        [Server(stage="openai", **place | of_server)], **{"tries": 3, "wait": 0.001} | changes
    )
    return ask(pool, BODY, counts or Counts()).checked().text


def test_an_answer_and_what_it_cost(server: Misbehaving) -> None:
    counts = Counts()
    assert asking(server, "good", counts=counts) == "Clip -1 runs."
    assert (counts.requests, counts.tries, counts.tokens_in, counts.tokens_out) == (1, 1, 1000, 20)
    assert server.bodies == [BODY]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert asking(server, "parts") == "In parts."


@pytest.mark.parametrize(
    "key",
    [
        "sk-12\nsecret",
        "sk-12\r\nX: secret",
        "sk secret",
        "schl\u00fcsselsecret\u20ac",
        "secret\udcff",
    ],
)
def test_a_key_that_no_header_takes_blames_no_clip_and_is_not_told(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(CaptionServer, match="the key in MY_KEY holds") as error:
        asking(server, "good")
    assert "secret" not in "".join(traceback.format_exception(error.value))
    assert server.times == []


def test_a_line_break_behind_the_key_does_no_harm(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\r\n")
    asking(server, "good")
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["a", "none", "EMPTY", "token", "runs"])
def test_a_good_answer_is_taken_as_it_is_whatever_the_key(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    assert asking(server, "good") == "Clip -1 runs."


@pytest.mark.parametrize(
    ("deed", "error"),
    [
        ("refusal KEY", CaptionRefused),
        ("reason KEY", CaptionEmpty),
        ("said 400 KEY", CaptionFailed),
    ],
)
@pytest.mark.parametrize(
    "before", [0, 60, 90, 280]
)  # where what is told is cut short, a half of the key may be left
def test_what_an_answer_says_is_told_without_the_key(
    server: Misbehaving, deed: str, error: type[Exception], before: int
) -> None:
    with pytest.raises(error) as told:
        asking(server, deed.replace("KEY", "." * before + KEY))
    assert KEY[:6] not in str(told.value)


ABSURD = [
    '{"prompt_tokens":1e400,"completion_tokens":-1e400}', '{"prompt_tokens":-5}',
    '{"prompt_tokens":"many","completion_tokens":""}', '{"completion_tokens":[1]}',
    '{"prompt_tokens":NaN,"completion_tokens":null}', '{"completion_tokens":{}}',
    f'{{"prompt_tokens":{"9" * 30},"completion_tokens":{"9" * 5000}}}',
    "5", "null", '"none"', "[]", "[[1]]",
]  # fmt: skip


@pytest.mark.parametrize("usage", ABSURD, ids=lambda usage: usage[:30])
def test_an_absurd_count_of_tokens_is_none_and_spoils_no_answer(
    server: Misbehaving, usage: str
) -> None:
    counts = Counts()
    assert asking(server, f"usage {usage}", counts=counts) == "A dog runs."
    assert (counts.tries, counts.tokens_in, counts.tokens_out) == (1, 0, 0)


@pytest.mark.parametrize("count", ["7", '"7"', "7.0"])
def test_a_count_of_tokens_may_be_any_number(server: Misbehaving, count: str) -> None:
    counts = Counts()
    asking(server, f'usage {{"completion_tokens":{count}}}', counts=counts)
    assert counts.tokens_out == 7


def test_a_request_that_is_given_up_leaves_no_thread(server: Misbehaving) -> None:
    with pytest.raises(CaptionFailed, match="no answer"):
        asking(server, "continue", timeout=0.2)
    wait_until(lambda: all(thread.name != "http-post" for thread in threading.enumerate()))


def test_an_error_cut_short_holds_no_half_of_the_key(server: Misbehaving) -> None:
    with pytest.raises(CaptionFailed) as told:
        asking(server, f"said 400 {'.' * 290}{KEY}")
    assert KEY[:6] not in str(told.value)


def test_without_a_key_none_is_sent(server: Misbehaving) -> None:
    asking(server, "good", key_variable="NOT_SET")
    assert "Authorization" not in server.headers[0]


AGAIN = [
    "status 429", "status 500", "status 503", "status 408", "json", "list", "strange", "cut",
    "reset", "slow 0.4",
    "drip", "dribble 200", "dribble 500", "continue", "huge",
]  # fmt: skip


@pytest.mark.parametrize("deed", AGAIN)
def test_what_may_pass_is_tried_again(server: Misbehaving, deed: str) -> None:
    counts = Counts()
    assert asking(server, deed, deed, "good", counts=counts, timeout=0.3) == "Clip -1 runs."
    assert (counts.requests, counts.tries, counts.tokens_out) == (1, 3, 20)


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("status 429", "answers 429 Too Many Requests: no such luck for"),
        ("status 500", "answers 500"),
        ("json", "not what the protocol says: JSONDecodeError"),
        ("strange", "content is int"),
        ("cut", "connection was cut"),
        ("reset", "connection was cut"),
        ("slow 0.4", r"no answer within 0\.3 s"),
        ("drip", r"no answer within 0\.3 s"),
        ("dribble 200", r"no answer within 0\.3 s"),
        ("continue", r"no answer within 0\.3 s"),
        ("huge", "more than 8 MB"),
        ("junk", "connection was cut: junk"),
    ],
)
def test_what_does_not_pass_fails_with_the_reason_and_without_the_key(
    server: Misbehaving, deed: str, why: str
) -> None:
    with pytest.raises(CaptionFailed, match=why) as error:
        asking(server, deed, timeout=0.3)
    assert "tries: 3" in str(error.value)
    assert KEY not in str(error.getrepr(style="long"))
    assert len(str(error.value)) < 1000
    assert len(server.times) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_the_server_does_not_take_is_not_sent_again(
    server: Misbehaving, status: int
) -> None:
    with pytest.raises(CaptionFailed, match=f"answers {status}") as error:
        asking(server, f"status {status}")
    assert KEY not in str(error.value)
    assert len(server.times) == 1


@pytest.mark.parametrize("deed", ["status 401", "status 403", "status 404", "redirect"])
def test_a_wrong_key_or_address_blames_no_clip(server: Misbehaving, deed: str) -> None:
    with pytest.raises(CaptionServer) as error:
        asking(server, deed)
    assert KEY not in str(error.value)
    assert len(server.times) == 1  # a redirection is not followed: it would be sent the key


def test_a_server_that_is_not_there_blames_no_clip(server: Misbehaving) -> None:
    with pytest.raises(CaptionServer, match="refused"):
        asking(server, "good", url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    ("deed", "why"), [("refusal", "cannot describe"), ("filtered", "content filter")]
)
def test_a_refusal_is_told(server: Misbehaving, deed: str, why: str) -> None:
    with pytest.raises(CaptionRefused, match=why):
        asking(server, deed)
    assert len(server.times) == 1


@pytest.mark.parametrize(
    ("deed", "why"), [("none", "no choice"), ("blank", "stop"), ("null", "length")]
)
def test_an_empty_answer_is_told(server: Misbehaving, deed: str, why: str) -> None:
    with pytest.raises(CaptionEmpty, match=why):
        asking(server, deed)


def test_it_waits_as_long_as_the_server_says(server: Misbehaving) -> None:
    asking(server, "status 429 0.3", "good", wait=600)
    assert 0.3 <= server.times[1] - server.times[0] < 100


def test_it_waits_no_longer_than_the_option_says(server: Misbehaving) -> None:
    asking(server, "status 429 900", "status 503", "good", wait=900, longest_wait=0.05)
    assert server.times[2] - server.times[0] < 100


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("2.5") == 2.5
    assert retry_after("-1") == 0
    assert 50 < (retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    for wrong in (None, "soon", "", "inf", "nan", "Wed, 99 Foo"):
        assert retry_after(wrong) is None
