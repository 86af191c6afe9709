"""resume: a dataset goes on, and what to do next."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from tests.cli.conftest import Call, Filled, finish_clips


@pytest.mark.parametrize(
    ("status", "then"), [("dropped", "curate refilter pets --set"), ("kept", "curate sql")]
)
def test_what_to_do_next_depends_on_whether_any_clip_is_left(
    curate: Call, filled: Filled, tmp_path: Path, status: str, then: str
) -> None:
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage = 'done', status = 'kept', reason = NULL"))
        row = {"status": status, "stage": "done" if status == "kept" else "motion"}
        connection.execute(
            text("UPDATE clips SET stage = :stage, status = :status, owner = NULL"), row
        )
    done = curate("resume", "pets", "-o", str(tmp_path / "clips.csv"))
    assert (done.code, then in done.err.partition("Next: ")[2]) == (0, True), done.err


def test_resume_says_when_the_broker_is_away_and_what_then(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_BROKER_URL", "redis://me:hush@127.0.0.1:1/0")
    done = curate("-q", "resume", "pets")
    assert done.code == 0
    assert [
        line for line in done.err.splitlines() if line.startswith("warning: ")
    ] == done.err.splitlines()
    assert all(
        part in done.err for part in ("redis://me:***@127.0.0.1:1/0", "rows wait", "curate doctor")
    ), done.err


def test_resume_of_a_finished_dataset_exports_and_tells_failures(
    curate: Call, filled: Filled, tmp_path: Path, home: Path
) -> None:
    finish_clips(filled)
    result = curate("resume", "-o", str(tmp_path / "clips.csv"))
    assert result.code == 1
    assert "2 rows failed; see: curate errors pets" in result.err
    assert "5 clips written" in result.err
    assert "unique" in result.err  # the funnel
    page, query = re.findall(r"^(?:Next|  or): (.*)$", result.err, re.MULTILINE)
    assert page == "curate view pets"
    assert "failed" in curate(*shlex.split(query)[1:]).out
    assert len((tmp_path / "clips.csv").read_text().splitlines()) == 6
    assert not (home / "broker").exists()  # nothing had to be started


def test_resume_without_failures_gives_0(curate: Call, filled: Filled, tmp_path: Path) -> None:
    finish_clips(
        filled,
        "DELETE FROM clips WHERE status = 'failed'",
        "DELETE FROM videos WHERE status = 'failed'",
    )
    result = curate("resume", "-o", str(tmp_path / "clips.csv"))
    assert (result.code, "Next:" in result.err) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--where", "flow > 1"], 2, "-o FILE"),
        (["-o", "clips.csv", "--where", "flwo > 1"], 3, "did you mean flow"),
        (["-o", "clips.csv", "--columns", "flwo"], 2, "did you mean flow"),
    ],
)
def test_what_is_wrong_with_the_table_is_told_before_anything_is_done(
    curate: Call, filled: Filled, words: list[str], code: int, says: str
) -> None:
    assert curate("pause", "pets").code == 0
    result = curate("resume", "pets", *words)
    assert (result.code, says in result.err) == (code, True), result.err
    assert datasets.pick(filled.engine, "pets").state == "paused"
