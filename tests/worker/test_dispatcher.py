"""The top-up loop rings each queue for the processes that serve it, fairly, and never heaps up
bells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from curate.configs.settings import Settings
from curate.db import datasets
from curate.worker.dispatcher import Dispatcher
from curate.worker.messages import Messages, make_app
from tests.pipelines import Line, make_line


@pytest.fixture
def line(plugged: Path, sqlite_url: str, home: Path) -> Line:
    """Clips that wait on both queues: 5 batches of cpu, 5 of ascend."""
    held = {"stage": "held", "folder": str(plugged), "batch_size": 1}
    line = make_line(sqlite_url, home, [{"stage": "score", "batch_size": 1}, held])
    line.put_clips(5, "score", "/v/a.mp4")
    line.put_clips(5, "held", "/v/b.mp4")
    return line


@pytest.fixture
def messages(redis_url: str, home: Path, pytestconfig: pytest.Config) -> Iterator[Messages]:
    app = make_app(Settings(home=home, broker_url=pytestconfig.getoption("--broker") or redis_url))
    with closing(Messages(app)) as messages:
        yield messages
        with app.connection_or_acquire() as connection:
            for queue in app.conf.task_queues:
                queue(connection.default_channel).purge()


class Heard:
    """Bells that only remember what was rung."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, int, bool]] = []

    def count_waiting(self, queue: str) -> int:
        return 0

    def send(self, step: Any, dataset_id: int, partial: bool = False) -> None:
        self.rung.append((step.name, dataset_id, partial))

    def taken(self) -> list[tuple[str, int, bool]]:
        rung, self.rung = self.rung, []
        return rung


def test_each_queue_gets_bells_for_its_processes_and_no_more_than_twice_as_many(
    line: Line, messages: Messages
) -> None:
    dispatcher = Dispatcher(line.engine, messages, {"cpu": 3, "ascend": 2})
    assert dispatcher.dispatch() == 5
    assert (messages.count_waiting("cpu"), messages.count_waiting("ascend")) == (3, 2)
    for _ in range(3):
        dispatcher.dispatch()
    assert (messages.count_waiting("cpu"), messages.count_waiting("ascend")) == (6, 4)


def test_a_queue_that_others_serve_gets_enough_to_wake_them(line: Line, messages: Messages) -> None:
    dispatcher = Dispatcher(line.engine, messages, {"cpu": 1})
    for _ in range(4):
        dispatcher.dispatch()
    assert messages.count_waiting("ascend") == 2


def test_nothing_waiting_rings_nothing(
    plugged: Path, sqlite_url: str, home: Path, messages: Messages
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    assert Dispatcher(line.engine, messages, {"cpu": 4}).dispatch() == 0
    assert messages.count_waiting("cpu") == 0


def test_no_more_bells_than_batches(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, [{"stage": "score", "batch_size": 16}])
    line.put_clips(17, "score")
    heard: Any = Heard()
    assert Dispatcher(line.engine, heard, {"cpu": 8}).dispatch() == 2


def test_the_deepest_stage_comes_first(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, ["score", "second"])
    line.put_clips(1, "score", "/v/a.mp4")
    line.put_clips(1, "second", "/v/b.mp4")
    heard: Any = Heard()
    Dispatcher(line.engine, heard, {"cpu": 2}).dispatch()
    assert [name for name, _, _ in heard.rung] == ["second", "score"]


def two_datasets(url: str, home: Path) -> tuple[Line, Line]:
    """One with a thousand batches that wait for its last stage, and one that has just begun."""
    large = make_line(url, home, [{"stage": "score", "batch_size": 1}], name="large")
    large.put_clips(1000, "score", "/v/a.mp4")
    small = make_line(url, home, ["second"], name="small")
    small.enqueue("b.mp4")
    return large, small


def test_a_small_dataset_is_not_kept_waiting_by_a_large_one(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    large, small = two_datasets(sqlite_url, home)
    heard: Any = Heard()
    dispatcher = Dispatcher(large.engine, heard, {"cpu": 2})
    for _ in range(5):
        assert dispatcher.dispatch() == 2
        assert {dataset for _, dataset, _ in heard.taken()} == {large.dataset.id, small.dataset.id}


@pytest.mark.parametrize("hold", [datasets.pause, datasets.cancel])
def test_a_dataset_that_is_paused_or_cancelled_gets_no_bell_until_it_is_resumed(
    line: Line, hold: Any, messages: Messages
) -> None:
    dispatcher = Dispatcher(line.engine, messages, {"cpu": 1})
    hold(line.engine, line.dataset)
    assert dispatcher.dispatch() == 0
    datasets.resume(line.engine, line.dataset)
    assert dispatcher.dispatch() == 2


def filling(url: str, home: Path, clips: int) -> Line:
    """Clips that wait for a batch of 4 while a video is still upstream."""
    line = make_line(url, home, [{"stage": "score", "batch_size": 4, "fill_seconds": 30}])
    line.put_clips(clips, "score", "/v/a.mp4")
    line.enqueue("upstream.mp4")
    return line


def test_a_rest_waits_until_its_time_is_over(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = filling(sqlite_url, home, 3)
    heard, time = Heard(), [0.0]
    rung: Any = heard
    dispatcher = Dispatcher(line.engine, rung, {"cpu": 4}, clock=lambda: time[0])
    seen = []
    for second in (0, 29, 30, 31, 59, 61):
        time[0] = second
        dispatcher.dispatch()
        seen.append([bell for bell in heard.taken() if bell[0] == "score"])
    rest = [("score", line.dataset.id, True)]
    assert seen == [[], [], rest, [], [], rest]


def test_full_batches_do_not_wait(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = filling(sqlite_url, home, 9)
    heard: Any = Heard()
    Dispatcher(line.engine, heard, {"cpu": 8}).dispatch()
    assert [bell for bell in heard.rung if bell[0] == "score"] == [
        ("score", line.dataset.id, False)
    ] * 2
