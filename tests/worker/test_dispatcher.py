"""The dispatcher sends each queue messages for the processes that serve it, fairly, and never heaps
them up; it frees what dead processes held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from curate.configs.settings import Settings
from curate.db import datasets
from curate.db.engine import now
from curate.db.queue.leases import EXPIRED, FAR, Claim, renew
from curate.worker.dispatcher import (
    LONGEST_SLEEP,
    Dispatcher,
    expire_rows_of_dead,
    release_rows_of_dead,
)
from curate.worker.messages import Messages, make_app
from curate.worker.owner import new_owner
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


class SentMessages:
    """Messages that only remember what was sent; `waiting` of them wait in each queue."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, bool]] = []
        self.waiting = 0

    def count_waiting(self, queue: str) -> int:
        return self.waiting

    def send(self, step: Any, dataset_id: int, partial: bool = False) -> None:
        self.sent.append((step.name, dataset_id, partial))

    def taken(self) -> list[tuple[str, int, bool]]:
        sent, self.sent = self.sent, []
        return sent


def test_each_queue_gets_messages_for_its_processes_and_no_more_than_twice_as_many(
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


def test_nothing_waiting_sends_nothing(
    plugged: Path, sqlite_url: str, home: Path, messages: Messages
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    assert Dispatcher(line.engine, messages, {"cpu": 4}).dispatch() == 0
    assert messages.count_waiting("cpu") == 0


def test_it_looks_again_only_when_something_can_have_changed(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    time = [100.0]
    line = make_line(sqlite_url, home, ["score"])
    sent: Any = SentMessages()
    dispatcher = Dispatcher(line.engine, sent, {"cpu": 1}, clock=lambda: time[0])
    assert dispatcher.is_due()
    dispatcher.dispatch()
    assert not dispatcher.is_due(), "nothing waits, nothing is leased"
    line.put_clips(1, "score")
    assert dispatcher.is_due(), "rows were written"
    dispatcher.dispatch()
    assert dispatcher.is_due(), "a message may be lost"
    line.held("score")
    dispatcher.dispatch()
    assert dispatcher.is_due(), "whoever holds rows may die"
    with line.engine.begin() as connection:
        done = "UPDATE clips SET stage='done', status='kept', owner=NULL, lease_until=0"
        connection.execute(text(done))
    dispatcher.dispatch()
    assert not dispatcher.is_due()
    time[0] += LONGEST_SLEEP
    assert dispatcher.is_due(), "now and then, whatever happened"


def test_no_more_messages_than_batches(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, [{"stage": "score", "batch_size": 16}])
    line.put_clips(17, "score")
    sent: Any = SentMessages()
    assert Dispatcher(line.engine, sent, {"cpu": 8}).dispatch() == 2


def test_the_deepest_stage_comes_first(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, ["score", "second"])
    line.put_clips(1, "score", "/v/a.mp4")
    line.put_clips(1, "second", "/v/b.mp4")
    sent: Any = SentMessages()
    Dispatcher(line.engine, sent, {"cpu": 2}).dispatch()
    assert [name for name, _, _ in sent.sent] == ["second", "score"]


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
    sent: Any = SentMessages()
    dispatcher = Dispatcher(large.engine, sent, {"cpu": 2})
    for _ in range(5):
        assert dispatcher.dispatch() == 2
        assert {dataset for _, dataset, _ in sent.taken()} == {large.dataset.id, small.dataset.id}


@pytest.mark.parametrize("hold", [datasets.pause, datasets.cancel])
def test_a_dataset_that_is_paused_or_cancelled_gets_no_message_until_it_is_resumed(
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


def test_a_partial_batch_waits_until_its_time_is_over(
    plugged: Path, sqlite_url: str, home: Path
) -> None:
    line = filling(sqlite_url, home, 3)
    time = [0.0]
    sent: Any = SentMessages()
    dispatcher = Dispatcher(line.engine, sent, {"cpu": 4}, clock=lambda: time[0])
    seen = []
    for second in (0, 29, 30, 31, 59, 61):
        time[0] = second
        dispatcher.dispatch()
        seen.append([message for message in sent.taken() if message[0] == "score"])
    partial = [("score", line.dataset.id, True)]
    assert seen == [[], [], partial, [], [], partial]


def test_full_batches_do_not_wait(plugged: Path, sqlite_url: str, home: Path) -> None:
    line = filling(sqlite_url, home, 9)
    sent: Any = SentMessages()
    Dispatcher(line.engine, sent, {"cpu": 8}).dispatch()
    assert [message for message in sent.sent if message[0] == "score"] == [
        ("score", line.dataset.id, False)
    ] * 2


# ---- rows of the dead

ELSEWHERE = "elsewhere|x|7|1|b"


class Looking:
    """A dispatcher with leases of its own length, by a clock that the test moves."""

    def __init__(self, line: Line, lease: float) -> None:
        sent: Any = SentMessages()
        self.time = 0.0
        self.lease = lease
        self._line = line
        self._dispatcher = Dispatcher(
            line.engine, sent, {"cpu": 1}, clock=lambda: self.time, lease_seconds=lease
        )

    def freed(self, seconds: float) -> bool:
        """Look after so many seconds: whether the rows are free."""
        self.time += seconds
        self._dispatcher.dispatch()
        return self._line.rows("SELECT DISTINCT lease_until FROM clips") == [(EXPIRED,)]


@pytest.fixture
def clips(database_url: str, home: Path) -> Line:
    line = make_line(database_url, home, ["score"])
    line.put_clips(3, "score")
    return line


def held(line: Line, lease: float = 60, ahead: float = 0) -> Claim:
    """A batch of another host, whose clock was set back since by `ahead` seconds."""
    claim = line.claim("score", ELSEWHERE, lease_seconds=lease)
    assert claim is not None
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET lease_until = lease_until + :s"), {"s": ahead})
    return claim


def test_a_dead_holder_from_before_the_clock_was_set_back_loses_its_rows(
    catalog: None, clips: Line
) -> None:
    held(clips, ahead=7200)
    looking = Looking(clips, 60)
    assert [looking.freed(s) for s in (0, 1, FAR * 60 - 2)] == [False] * 3
    assert looking.freed(2)


def test_a_living_holder_corrects_its_lease_in_time(catalog: None, clips: Line) -> None:
    claim = held(clips, ahead=7200)
    looking = Looking(clips, 60)
    assert [looking.freed(s) for s in (0, 1, 19)] == [False] * 3
    assert renew(clips.engine, claim) == 3
    assert [looking.freed(s) for s in (1, 60, FAR * 60)] == [False] * 3


def test_a_living_holder_with_longer_leases_keeps_its_rows(catalog: None, clips: Line) -> None:
    claim = held(clips, lease=60)
    looking = Looking(clips, 2)
    for _ in range(10):
        assert not any(looking.freed(1) for _ in range(20))
        assert renew(clips.engine, claim) == 3


def test_a_lease_of_the_usual_length_is_left_to_run_out(catalog: None, clips: Line) -> None:
    held(clips)
    looking = Looking(clips, 60)
    assert not any(looking.freed(60) for _ in range(3 * FAR))


def hold_by_the_dead(line: Line) -> None:
    """All clips are held by a process of this host that is gone, alone in its batch."""
    host, _, _, batch = new_owner().rsplit("|", 3)
    held = "UPDATE clips SET owner = :o, claim_size = 1, attempts = 2, lease_until = :u"
    with line.engine.begin() as connection:
        connection.execute(
            text(held), {"o": f"{host}|999999999|1|{batch}", "u": now(connection) + 60}
        )


def test_what_a_stopped_worker_held_is_free_at_once_and_no_crash(
    catalog: None, clips: Line
) -> None:
    hold_by_the_dead(clips)
    assert release_rows_of_dead(clips.engine) == 3
    assert clips.rows("SELECT DISTINCT owner, lease_until, claim_size, attempts FROM clips") == [
        (None, 0.0, 0, 2)
    ]


def test_what_a_crashed_worker_held_counts_as_a_crash(catalog: None, clips: Line) -> None:
    hold_by_the_dead(clips)
    assert expire_rows_of_dead(clips.engine, clips.dataset.id, clips.pipeline) == 3
    assert clips.rows("SELECT DISTINCT lease_until, claim_size, attempts FROM clips") == [
        (EXPIRED, 1, 2)
    ]


def test_freeing_a_dataset_asks_about_no_other(
    catalog: None, database_url: str, home: Path
) -> None:
    asked: list[str] = []
    counts = []
    for name in ("a", "b", "c"):
        line = make_line(database_url, home, ["score"], name)
        line.put_clips(3, "score")
        hold_by_the_dead(line)
        event.listen(
            line.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: asked.append(sql)
        )
        asked.clear()
        assert expire_rows_of_dead(line.engine, line.dataset.id, line.pipeline) == 3
        counts.append(len(asked))
    assert counts == counts[:1] * 3
