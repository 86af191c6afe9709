"""The watch renews leases and ends a batch at its time limit."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from curate.db.queue.leases import EXPIRED, Claim, renew
from curate.db.save.batch import Outcomes, save
from curate.worker.lease_keeper import LeaseKeeper
from tests.pipelines import Line, make_line, wait_until, writer


def line_with(url: str, home: Path, time_limit: float) -> Line:
    return make_line(url, home, [{"stage": "score", "time_limit": time_limit, "batch_size": 4}])


def test_a_lease_is_renewed_while_the_batch_runs(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 600)
    line.put_clips(1, "score")
    held = line.claim("score", lease_seconds=0.3)
    assert held is not None
    with LeaseKeeper(line.engine, writer()).keep(held):
        wait_until(lambda: line.rows("SELECT lease_until FROM clips")[0][0] > held.started_at + 0.6)


def test_a_row_alone_fails_at_the_time_limit(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 0.1)
    line.put_clips(1, "score")
    held = line.claim("score")
    assert held is not None
    ended = threading.Event()
    with LeaseKeeper(line.engine, writer(), ended.set).keep(held):
        assert ended.wait(30)
    status, reason, error = line.rows("SELECT status, reason, error FROM clips")[0]
    assert (status, reason) == ("failed", "StageTimeout")
    assert "0.1 s" in str(error)


def test_a_larger_batch_is_given_back_to_be_halved(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 0.1)
    line.put_clips(4, "score")
    held = line.claim("score")
    assert held is not None
    ended = threading.Event()
    with LeaseKeeper(line.engine, writer(), ended.set).keep(held):
        assert ended.wait(30)
    assert line.rows("SELECT DISTINCT status, lease_until FROM clips") == [("active", EXPIRED)]
    again = line.claim("score")
    assert again is not None
    assert len(again.rows) == 2


def test_a_batch_that_ends_in_time_is_left_alone(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 60)
    line.put_clips(1, "score")
    held = line.claim("score")
    assert held is not None
    ended = threading.Event()
    with LeaseKeeper(line.engine, writer(), ended.set).keep(held):
        pass
    assert not ended.is_set()
    assert line.rows("SELECT status, owner FROM clips") == [("active", "me")]


def test_the_second_batch_of_a_watch_is_held_to_its_own_time(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 0.1)
    line.put_clips(8, "score")
    ended = threading.Event()
    watch = LeaseKeeper(line.engine, writer(), ended.set)
    first = line.claim("score", "one")
    assert first is not None
    with watch.keep(first):
        pass
    second = line.claim("score", "two")
    assert second is not None
    with watch.keep(second):
        assert ended.wait(30)
    assert line.rows("SELECT DISTINCT owner FROM clips WHERE lease_until = 1") == [("two",)]


def test_a_short_batch_after_a_long_one_is_ended_in_time(sqlite_url: str, home: Path) -> None:
    """The thread sleeps until the long one's lease has to be renewed, and is woken for the short
    one.
    """
    line = line_with(sqlite_url, home, 0.1)
    line.put_clips(4, "score")
    long = line_with(sqlite_url + "-long", home, 600)
    long.put_clips(1, "score")
    ended = threading.Event()
    watch = LeaseKeeper(line.engine, writer(), ended.set)
    for there, owner in ((long, "long"), (line, "short")):
        held = there.claim("score", owner)
        assert held is not None
        with watch.keep(held):
            assert owner == "long" or ended.wait(30)


def test_a_batch_given_up_is_not_held_again(sqlite_url: str, home: Path) -> None:
    line = line_with(sqlite_url, home, 0.1)
    line.put_clips(4, "score")
    held = line.claim("score", lease_seconds=0.3)
    assert held is not None
    ended = threading.Event()
    watch = LeaseKeeper(line.engine, writer(), ended.set)
    with watch.keep(held):
        assert ended.wait(30)
        time.sleep(0.3)
    assert line.rows("SELECT DISTINCT lease_until FROM clips") == [(EXPIRED,)]


def test_a_lease_renewed_while_its_batch_is_saved_locks_nothing_out(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 200}])
    for n in range(5):
        line.put_clips(200, "score", f"/v/{n}.mp4")
        held = line.claim("score", f"o{n}")
        assert held is not None
        done = threading.Event()

        def renewing(claim: Claim = held, done: threading.Event = done) -> None:
            while not done.is_set():
                renew(line.engine, claim)

        thread = threading.Thread(target=renewing)
        thread.start()
        scores = {i: {"score": 1.0} if i % 2 else {"score": None} for i in held.ids}
        saved = save(line.engine, held, Outcomes(scores=scores), writer())
        done.set()
        thread.join()
        assert saved.rows == 200
