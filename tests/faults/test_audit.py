"""The audit of faults sees what it is there for: each kind of violation is planted and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, null, select, text

from curate.configs.schema import Level
from curate.db.expressions import among
from curate.db.queue.leases import Claim
from curate.db.save import batch as saves
from curate.db.save.batch import Outcomes, Writer, save
from curate.db.schema import rows_of
from tests.faults.audit import Verdict, final_rows, install, judge
from tests.pipelines import Line, make_line, writer


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Two clips of one video that wait for the last stage, with the audit installed."""
    line = make_line(database_url, home, ["score"])
    line.put_clips(2, "score")
    install(line.engine)
    return line


def save_as(line: Line, held: Claim, pid: str, score: float = 1.0) -> int:
    """The process called pid saves a score of each row of the claim."""
    by = Writer(writer().parse, f"{pid}@host", "0")
    outcomes = Outcomes(scores={i: {"score": score} for i in held.ids})
    return save(line.engine, held, outcomes, by).rows


def take(line: Line, pid: str) -> Claim:
    """A claim of the process called pid."""
    held = line.claim("score", f"host|boot|{pid}|1|batch{pid}")
    assert held is not None
    return held


def verdict(line: Line, expected: object = None) -> Verdict:
    found = final_rows(line.engine, line.dataset.id, line.settings.folder)
    return judge(line.engine, line.dataset.id, found, expected or found)  # type: ignore[arg-type]


def change(line: Line, sql: str) -> None:
    with line.engine.begin() as connection:
        connection.execute(text(sql))


def test_an_undisturbed_batch_is_clean(line: Line) -> None:
    assert save_as(line, take(line, "1"), "1") == 2
    assert vars(verdict(line)) == vars(Verdict())
    assert verdict(line).equal


def lose_and_save(line: Line) -> Verdict:
    """Process 1 loses its rows to process 2 and saves nevertheless, before process 2 does."""
    first = take(line, "1")
    line.expire(first.request.owner)
    second = take(line, "2")
    save_as(line, first, "1", 5.0)
    save_as(line, second, "2")
    return verdict(line)


def test_the_guard_of_a_save_leaves_nothing_stale(line: Line) -> None:
    found = lose_and_save(line)
    assert (found.stale_writes, found.doubled) == (0, 0)


def test_without_the_guard_the_save_is_stale(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def unguarded(level: Level) -> Select[Any]:
        table = rows_of(level)
        return select(table.c.id, table.c.return_to, null().label("picked")).where(
            among(table.c.id)
        )

    monkeypatch.setattr(saves, "held_statement", unguarded)
    found = lose_and_save(line)
    assert found.stale_writes > 0


def test_a_late_save_of_rows_that_nobody_took_is_late_only(line: Line) -> None:
    held = take(line, "1")
    line.expire(held.request.owner)
    assert save_as(line, held, "1") == 2
    found = verdict(line)
    assert (found.stale_writes, found.late) == (0, 2)


def test_a_row_moved_on_twice_is_doubled(line: Line) -> None:
    save_as(line, take(line, "1"), "1")
    change(line, "UPDATE clips SET stage = 'score', status = 'active' WHERE clip_index = 0")
    save_as(line, take(line, "2"), "2")
    assert verdict(line).doubled == 1


PLANTED: dict[str, tuple[str, Callable[[Verdict], int]]] = {
    "a clip that is gone": ("DELETE FROM clips WHERE clip_index = 1", lambda v: v.lost),
    "a clip that is unfinished": (
        "UPDATE clips SET status = 'active' WHERE clip_index = 1",
        lambda v: v.lost,
    ),
    "another score": (
        "UPDATE clips SET score = 7 WHERE clip_index = 1",
        lambda v: len(v.differences),
    ),
    "a score without a batch": (
        "UPDATE clips SET score = 7 WHERE clip_index = 1",
        lambda v: v.stale_writes,
    ),
    "one clip too many": (
        "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage, status)"
        " SELECT dataset_id, video_id, 9, 0, 1, stage, status FROM clips WHERE clip_index = 1",
        lambda v: v.doubled,
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_planted(line: Line, what: str) -> None:
    save_as(line, take(line, "1"), "1")
    expected = final_rows(line.engine, line.dataset.id, line.settings.folder)
    sql, count = PLANTED[what]
    assert count(verdict(line, expected)) == 0
    change(line, sql)
    assert count(verdict(line, expected)) == 1


def test_a_file_that_differs_is_told(line: Line, home: Path) -> None:
    home.mkdir(exist_ok=True)
    clip = home / "clip.mp4"
    clip.write_bytes(b"whole")
    change(line, f"UPDATE clips SET path = '{clip}'")
    expected = final_rows(line.engine, line.dataset.id, home)
    clip.write_bytes(b"hal")
    assert any("file is" in d for d in verdict(line, expected).differences)
