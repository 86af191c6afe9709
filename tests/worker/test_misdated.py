"""Leases that end absurdly far ahead: those of the dead end after a while, those of the living
never.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.db.queue.leases import EXPIRED, FAR, Claim, renew
from curate.worker.dispatcher import Dispatcher
from tests.pipelines import Line, make_line
from tests.worker.test_dispatcher import Heard

pytestmark = pytest.mark.usefixtures("catalog")
ELSEWHERE = "elsewhere|x|7|1|b"


class Looking:
    """A top-up loop with leases of its own length, by a clock that the test moves."""

    def __init__(self, line: Line, lease: float) -> None:
        heard: Any = Heard()
        self.time = 0.0
        self.lease = lease
        self._line = line
        self._loop = Dispatcher(
            line.engine, heard, {"cpu": 1}, clock=lambda: self.time, lease_seconds=lease
        )

    def freed(self, seconds: float) -> bool:
        """Look after so many seconds: whether the rows are free."""
        self.time += seconds
        self._loop.dispatch()
        return self._line.rows("SELECT DISTINCT lease_until FROM clips") == [(EXPIRED,)]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
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


def test_a_dead_holder_from_before_the_clock_was_set_back_loses_its_rows(line: Line) -> None:
    held(line, ahead=7200)
    looking = Looking(line, 60)
    assert [looking.freed(s) for s in (0, 1, FAR * 60 - 2)] == [False] * 3
    assert looking.freed(2)


def test_a_living_holder_corrects_its_lease_in_time(line: Line) -> None:
    claim = held(line, ahead=7200)
    looking = Looking(line, 60)
    assert [looking.freed(s) for s in (0, 1, 19)] == [False] * 3
    assert renew(line.engine, claim) == 3
    assert [looking.freed(s) for s in (1, 60, FAR * 60)] == [False] * 3


def test_a_living_holder_with_longer_leases_keeps_its_rows(line: Line) -> None:
    claim = held(line, lease=60)
    looking = Looking(line, 2)
    for _ in range(10):
        assert not any(looking.freed(1) for _ in range(20))
        assert renew(line.engine, claim) == 3


def test_a_lease_of_the_usual_length_is_left_to_run_out(line: Line) -> None:
    held(line)
    looking = Looking(line, 60)
    assert not any(looking.freed(60) for _ in range(3 * FAR))
