"""Which of several servers gets a request, and where it goes when one fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from curate.configs.errors import CaptionServer
from curate.configs.row_errors import CaptionFailed
from curate.tasks.captioners.openai_client import Counts, ask
from curate.tasks.servers.server_pool import FIRST_REST, Server, ServerPool
from tests.caption_server import CaptionServer as Misbehaving
from tests.caption_server import caption_server
from tests.tasks.captioners.test_openai_client import BODY

LATER = float("inf")


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Misbehaving, Misbehaving]]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with caption_server() as a, caption_server() as b:
        yield a, b


def pool_of(*urls: str, tries: int = 3, weights: tuple[float, ...] = (1, 1)) -> ServerPool:
    servers = [Server(u, "NO_KEY", "s", 5, f"m{n}", weights[n]) for n, u in enumerate(urls)]
    return ServerPool(servers, tries=tries, wait=0.001)


def test_servers_are_asked_by_weight_one_by_one_and_at_a_time() -> None:
    pool = pool_of("a", "b", weights=(3, 1))
    asked: Counter[str] = Counter()
    for _ in range(40):
        with pool.asking((), LATER) as server:
            asked[server.url] += 1
    assert asked == {"a": 30, "b": 10}
    with ExitStack() as under_way:
        at_a_time = Counter(under_way.enter_context(pool.asking((), LATER)).url for _ in range(8))
    assert at_a_time == {"a": 6, "b": 2}


def test_another_server_takes_over_from_one_that_is_gone(
    pair: tuple[Misbehaving, Misbehaving],
) -> None:
    _, b = pair
    pool = pool_of("http://127.0.0.1:1/v1", b.url, tries=1)
    counts = Counts()
    for _ in range(4):
        assert ask(pool, BODY, counts).text == "Clip -1 runs."
    assert [body["model"] for body in b.bodies] == ["m1"] * 4  # as this server calls it
    assert counts.tries == 5  # the first one rests


@pytest.mark.parametrize("deed", ["status 500", "status 429", "status 401", "reset", "json"])
def test_a_request_that_one_server_fails_goes_to_the_other(
    pair: tuple[Misbehaving, Misbehaving], deed: str
) -> None:
    a, b = pair
    a.usual = [deed]
    pool = pool_of(a.url, b.url)
    assert ask(pool, BODY, Counts()).text == "Clip -1 runs."
    assert (len(a.times), len(b.times)) == (1, 1)


def test_a_server_that_rested_is_asked_again(pair: tuple[Misbehaving, Misbehaving]) -> None:
    a, b = pair
    a.usual = ["status 500", "good"]
    pool = pool_of(a.url, b.url)
    ask(pool, BODY, Counts())
    pool._states[a.url].rests_until = 0
    ask(pool, BODY, Counts())
    assert (len(a.times), len(b.times)) == (2, 1)


def test_what_fails_at_one_time_makes_a_server_rest_once() -> None:
    pool = pool_of("a", "b")
    for _ in range(8):  # all that were under way when it went
        pool.rest(pool.servers[0])
    assert 0 < pool.seconds_to_rest(["b"], 60) <= FIRST_REST
    pool._states["a"].rests_until = 0
    pool.rest(pool.servers[0])
    assert FIRST_REST < pool.seconds_to_rest(["b"], 60) <= 2 * FIRST_REST


def test_tries_are_counted_over_all_servers(pair: tuple[Misbehaving, Misbehaving]) -> None:
    a, b = pair
    a.usual = b.usual = ["status 500"]
    with pytest.raises(CaptionFailed, match="tries: 2"):
        ask(pool_of(a.url, b.url, tries=2), BODY, Counts())
    assert len(a.times) + len(b.times) == 2


def test_what_every_server_denies_may_be_the_fault_of_the_request(
    pair: tuple[Misbehaving, Misbehaving],
) -> None:
    a, _ = pair
    a.usual = ["status 403"]
    for urls in ((a.url, "http://127.0.0.1:1/v1"), ("http://127.0.0.1:1/v1", a.url)):
        with pytest.raises(CaptionServer) as error:
            ask(pool_of(*urls), BODY, Counts())
        assert error.value.fields["status"] == 403
