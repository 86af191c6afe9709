"""The top-up loop rings each queue for the processes that serve it, and never heaps up bells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from curate.configs.settings import Settings
from curate.worker.bells import Bells, make_app
from curate.worker.topup import top_up
from tests.pipelines import Line, make_line


@pytest.fixture
def line(plugged: Path, sqlite_url: str, home: Path) -> Line:
    """Clips that wait on both queues."""
    line = make_line(sqlite_url, home, ["score", {"stage": "held", "folder": str(plugged)}])
    line.put_clips(1, "score", "/v/a.mp4")
    line.put_clips(1, "held", "/v/b.mp4")
    return line


@pytest.fixture
def bells(redis_url: str, home: Path) -> Iterator[Bells]:
    with closing(Bells(make_app(Settings(home=home, broker_url=redis_url)))) as bells:
        yield bells


def test_each_queue_gets_bells_for_its_processes_and_no_more_than_twice_as_many(line: Line, bells: Bells) -> None:
    serving = {"cpu": 3, "ascend": 2}
    assert top_up(line.engine, bells, serving) == 5
    assert (bells.unheard("cpu"), bells.unheard("ascend")) == (3, 2)
    for _ in range(3):
        top_up(line.engine, bells, serving)
    assert (bells.unheard("cpu"), bells.unheard("ascend")) == (6, 4)


def test_a_queue_that_others_serve_gets_enough_to_wake_them(line: Line, bells: Bells) -> None:
    for _ in range(4):
        top_up(line.engine, bells, {"cpu": 1})
    assert bells.unheard("ascend") == 2


def test_nothing_waiting_rings_nothing(plugged: Path, sqlite_url: str, home: Path, bells: Bells) -> None:
    line = make_line(sqlite_url, home, ["score"])
    assert top_up(line.engine, bells, {"cpu": 4}) == 0
    assert bells.unheard("cpu") == 0
