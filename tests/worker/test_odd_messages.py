"""Whatever lies in a queue, a worker outlives it, runs none of it, and does the work that waits."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from kombu.common import ignore_errors
from kombu.transport.virtual import Channel

from curate.configs.settings import Settings
from curate.worker import broker, odd_messages
from curate.worker.broker import socket_path
from curate.worker.celery_settings import transport_options, use_tolerant_transports
from curate.worker.processes import worker_specs
from curate.worker.supervisor import Log, Supervisor
from tests.pipelines import make_line, wait_until


class Planted:
    """A pickle that writes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


def envelope(content: bytes, tag: Any = "t", **changes: Any) -> dict[str, Any]:
    """A message as kombu puts it into a queue."""
    headers = {"lang": "py", "task": "stage.score", "id": "1", "argsrepr": "", "kwargsrepr": ""}
    about = {"routing_key": "cpu", "exchange": "cpu"}
    properties = {"delivery_tag": tag, "delivery_info": about, "body_encoding": "base64"}
    return {
        "body": base64.b64encode(content).decode(), "headers": headers, "properties": properties,
        "content-type": "application/json", "content-encoding": "utf-8",
    } | changes  # fmt: skip


def odd(pickled: bytes) -> Iterator[Any]:
    """Contents of a queue: bytes as they are, else what becomes JSON."""
    good = json.dumps([[], {"dataset": 1}, {}]).encode()
    python = "application/x-python-serialize"
    yield from (b"", b"\xff\xfe", b"{", pickled, b'{"a": 1} x', b"[" * 100_000, b"\x00" * 100)
    yield from ([], [1, 2], 5, 1.5, None, True, "text", {}, {"properties": 5}, {"body": "x"})
    yield from ({"__type__": "decimal", "__value__": "x"}, {"__type__": 5, "__value__": []})
    yield from (envelope(good, tag) for tag in (None, 5, [], {}, "\ud800"))
    yield envelope(good, properties={})
    for delivery in ([1], {}, {"exchange": "cpu"}, {"routing_key": "cpu"}, None):
        yield envelope(good, properties={"delivery_tag": "t", "delivery_info": delivery})
    yield from (envelope(good, body=body) for body in (5, [1], "no base64!", "\ud800", None))
    wrong = ([], 5, {}, {"task": []}, {"task": 5}, {"task": "stage.score"}, {"task": "nowhere"})
    yield from (envelope(good, headers=headers) for headers in wrong)
    kinds = (python, "application/x-yaml", "application/data", "nonsense", 5, None, "")
    for kind in kinds:
        yield envelope(pickled, **{"content-type": kind})
        yield envelope(pickled, headers={}, **{"content-type": kind})
    yield from (envelope(good, **{"content-encoding": e}) for e in ("binary", "nonsense", 5))
    bodies = (b"[]", b"5", b"{}", b'"args"', b"[1, 2, 3]", b"[[], [], []]", b"\xff", pickled)
    for body in bodies:
        yield envelope(body)
        yield envelope(body, headers={})
    task: dict[str, Any] = envelope(good)["headers"]
    for more in (
        {"compression": "zlib"}, {"compression": "x"}, {"eta": "soon"}, {"eta": 5},
        {"expires": []}, {"timelimit": "abc"}, {"timelimit": 5}, {"retries": "x"}, {"id": []},
        {"id": {}}, {"stamps": 5, "stamped_headers": 7}, {"shadow": []}, {"argsrepr": []},
        {"root_id": {}}, {"group": []}, {"ignore_result": "x"}, {"task": "celery.map"},
    ):  # fmt: skip
        yield envelope(good, headers=task | more)


@pytest.mark.skipif(broker.redis_executable() is None, reason="no redis-server")
def test_a_worker_throws_away_what_is_no_message(
    plugged: Path, sqlite_url: str, home: Path, tmp_path: Path
) -> None:
    import redis

    line = make_line(sqlite_url, home, ["score"])
    planted, log = tmp_path / "planted", tmp_path / "log"
    specs = worker_specs(line.settings, ["cpu"], 1)
    with Supervisor(line.settings, line.engine, specs, Log(log, "WARNING")) as supervised:
        (worker,) = supervised.workers
        with redis.Redis(unix_socket_path=str(socket_path(line.settings))) as client:
            for content in odd(pickle.dumps(Planted(planted))):
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                client.lpush("cpu", raw)
            client.publish("/0.celery.pidbox", b"[1]")
            client.publish("/0.celery.pidbox", b"\xff")
            pid = worker.pid
            line.put_clips(3, "score")
            wanted = [(3,)]
            kept = "SELECT count(*) FROM clips WHERE status = 'kept'"

            def all_kept() -> bool:
                supervised.tick()
                return line.rows(kept) == wanted

            wait_until(all_kept, 60)
            wait_until(lambda: client.llen("cpu") == 0)
            assert (worker.pid, worker.pid is None) == (pid, False), log.read_text()
    assert not planted.exists()
    said = log.read_text()
    assert "message thrown away (the 1. of this worker)" in said
    assert "Unrecoverable error" not in said and "Connection to broker lost" not in said


def test_a_broken_connection_is_closed_again_as_celery_does(redis_url: str, home: Path) -> None:
    """With a message that is not acknowledged, once it could not be closed the first time."""
    use_tolerant_transports()
    options = transport_options(redis_url, Settings(home=home).folder)
    with Connection(redis_url, transport_options=options) as connection:
        channel: Channel = connection.default_channel
        Queue("broken")(channel).declare()
        connection.SimpleQueue("broken", channel=channel).put({"a": 1})
        assert channel.basic_get("broken") is not None
        channel.connection.client = None
        channel._disconnect_pools()
        ignore_errors(connection, channel.close)
    assert channel.closed


@pytest.fixture
def file_queue(home: Path) -> Iterator[Connection]:
    """Kombu's queues in a folder, read as a worker reads them."""
    use_tolerant_transports()
    url = "filesystem://"
    options = transport_options(url, Settings(home=home).folder)
    with Connection(url, transport_options=options) as connection:
        assert isinstance(connection.transport, odd_messages.FileTransport)
        yield connection


def test_a_queue_of_files_skips_what_is_no_message(
    file_queue: Connection, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue, taken = Queue("cpu"), list[Any]()
    channel: Channel = file_queue.default_channel
    queue(channel).declare()
    for n, raw in enumerate((b"\xff", b"[1]", b"{", b"5")):
        (home / "broker" / "queue" / f"0_{n}.cpu.msg").write_bytes(raw)
    file_queue.SimpleQueue("cpu").put({"a": 1})
    with Consumer(channel, [queue], on_message=taken.append, accept=["json"]):
        while not taken:
            file_queue.drain_events(timeout=10)
    assert [message.decode() for message in taken] == [{"a": 1}]
    assert caplog.text.count("message thrown away") == 4
