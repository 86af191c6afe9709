"""status: how far each stage is, what failed and what is blocked."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from curate.cli import status
from curate.cli.status import spending_text
from curate.db.engine import writing
from curate.db.spending import Spent, add_spending
from tests.cli.conftest import FULL, Call, Filled, finish_clips, put_batches


def test_status_counts_each_row_once_at_each_stage(curate: Call, filled: Filled) -> None:
    found = curate("status", "--json").json
    stages = {s["stage"]: s for s in found["stages"]}
    counts = {
        n: tuple(s[k] for k in ("waiting", "running", "done", "dropped", "failed"))
        for n, s in stages.items()
    }
    assert counts == {
        "probe": (0, 0, 2, 0, 1),
        "split": (0, 0, 2, 0, 0),
        "dedup": (0, 0, 6, 1, 0),  # the filter `unique` behind it dropped one
        "motion": (1, 1, 4, 0, 0),
        "cut": (0, 0, 3, 0, 1),
    }


def test_shares_sum_to_100(curate: Call, filled: Filled) -> None:
    shares = curate("status", "--json").json["shares"]
    assert sum(shares.values()) == pytest.approx(100)
    assert shares["failed"] == pytest.approx(
        100 * 2 / 8
    )  # a video and a clip, of seven clips and a video never split


def test_status_names_rates_workers_and_failures(curate: Call, filled: Filled) -> None:
    found = curate("status", "pets", "--json").json
    assert found["workers"] == ["7@host"]
    assert 0 < next(s["rate"] for s in found["stages"] if s["stage"] == "probe") <= 3
    assert {f["error"] for f in found["failures"]} == {"EmptyFile", "CutMismatch"}


def test_status_for_people(curate: Call, filled: Filled) -> None:
    result = curate("status")
    assert result.out.splitlines()[1].split()[:3] == ["stage", "queue", "waiting"]
    assert "kept 37.5 % · dropped 12.5 % · failed 25.0 % · waiting 25.0 %\n" in result.out
    assert "3 videos · 7 clips · 1 worker at work" in result.out
    assert "1 x EmptyFile in probe, e.g. /v/c.mp4" in result.out
    assert "Next: curate status pets --watch" in result.err


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--fail-on-error"], 1), (["dogs"], 2)])
def test_exit_codes_of_status(curate: Call, filled: Filled, words: list[str], code: int) -> None:
    assert curate("status", *words).code == code


def test_status_tells_what_is_left(curate: Call, filled: Filled) -> None:
    with writing(filled.engine) as connection:
        same = "dataset_id, worker, n_ok, n_failed, started_at, seconds, version"
        for stage in ("motion", "cut"):
            copied = (
                f"INSERT INTO batches (stage, {same}) SELECT :s, {same} FROM batches"
                " WHERE stage = 'probe'"
            )
            connection.execute(text(copied), {"s": stage})
    found = curate("status", "--json").json
    rates = {s["stage"]: s["rate"] for s in found["stages"]}
    assert found["eta_seconds"] == pytest.approx(2 / rates["motion"], rel=0.01), (
        "2 clips wait for motion, 2 for cut"
    )
    assert " left" in curate("status").out


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_of_counts_is_wider_than_the_terminal(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = re.sub("\x1b\\[[0-9;]*m", "", curate("status").out).splitlines()
    kept = next(i for i, line in enumerate(lines) if line.startswith("kept "))
    assert max(map(len, lines[1 : kept + 2])) <= width
    waiting = "waiting 25.0 %"
    assert waiting in ([lines[kept + 1]] if width == 50 else lines[kept])


def test_watch_ends_when_nothing_is_left(curate: Call, filled: Filled) -> None:
    finish_clips(filled)
    assert "5" in curate("status", "--watch").out


def test_status_says_what_is_held_up_and_why(curate: Call, filled: Filled) -> None:
    put_batches(filled, "DiskFull")
    assert f"cut is blocked: {FULL}" in curate("status").out
    (found,) = curate("status", "--json").json["held_up"]
    assert (found["stage"], found["reason"], found["message"]) == ("cut", "DiskFull", FULL)


@pytest.mark.parametrize("age", [0, 3600])
def test_a_stage_that_went_on_or_was_held_up_long_ago_is_not(
    curate: Call, filled: Filled, age: float
) -> None:
    put_batches(filled, "DiskFull", age=age)
    if not age:
        put_batches(filled, None, count=1)
    assert curate("status", "--json").json["held_up"] == []


def test_status_says_which_rows_are_of_an_earlier_form_and_what_brings_them_up(
    curate: Call, filled: Filled
) -> None:
    assert "earlier form" not in curate("status").err
    with writing(filled.engine) as connection:  # as a home of an earlier version has it
        connection.execute(text("UPDATE datasets SET forms = NULL"))
    result = curate("status")
    assert "motion of 4 clips is of an earlier form" in result.err
    assert "curate redo motion pets" in result.err
    found = curate("status", "--json").json["earlier_forms"]
    assert {"stage": "motion", "level": "clip", "rows": 4} in found


def test_status_says_that_nothing_is_left(curate: Call, filled: Filled) -> None:
    first = curate("status").out.splitlines()[0]
    assert first == "dataset pets   /videos/pets"
    finish_clips(filled)
    assert curate("status").out.splitlines()[0] == f"{first}   has failed"
    assert curate("status", "--json").json["state"] == "has failed"
    finish_clips(
        filled,
        "UPDATE clips SET status = 'kept', stage = 'done'",
        "UPDATE videos SET status = 'kept', stage = 'done'",
    )
    assert curate("status").out.splitlines()[0] == f"{first}   done"
    assert curate("status", "--json").json["state"] == "done"


def test_status_tells_what_requests_cost(curate: Call, filled: Filled) -> None:
    assert curate("status", "--json").json["spending"] == []
    add_spending(filled.engine, filled.dataset.id, "motion", Spent(2, 3000, 40, 0.25))
    assert "motion: 2 answers, 3000 tokens read, 40 written, cost 0.2500\n" in curate("status").out
    of_stage = {"requests": 2, "tokens_in": 3000, "tokens_out": 40, "cost": 0.25}
    found = curate("status", "--json").json["spending"]
    assert found == [{"stage": "motion", **of_stage, "max_cost": None}]
    assert spending_text({"stage": "s", **of_stage, "max_cost": 5}).endswith("cost 0.2500 of 5")


def test_kinds_of_failures_that_the_table_leaves_out_are_counted(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "more kind" not in curate("status").out
    monkeypatch.setattr(status, "MOST_KINDS", 1)
    assert "and 1 more kind: curate errors pets" in curate("status").out
