"""run, enqueue and resume: what is wrong is told before the work, and other homes are left alone."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.cli.shared import enqueuing
from curate.cli.shared.database import OpenDataset
from curate.cli.shared.notify import notify_workers
from curate.cli.shared.session import Session
from curate.db.datasets import all_datasets
from curate.db.engine import make_engine
from curate.worker import broker
from curate.worker.broker import EmbeddedBroker
from curate.worker.messages import Messages, make_app
from tests.cli.conftest import Call, Filled
from tests.pipelines import make_line


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with a file that looks like a video by its name."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--where", "flwo >= 1"), 3), (("--columns", "path,flwo"), 2), (("--sort", "flwo desc"), 2)],
    ids=["where", "columns", "sort"],
)
def test_a_misspelt_column_is_told_before_any_worker_starts(
    curate: Call, videos: Path, home: Path, words: tuple[str, str], code: int
) -> None:
    done = curate("run", str(videos), "-o", str(videos.parent / "clips.csv"), *words)
    assert (done.code, "flwo" in done.err, "did you mean flow" in done.err) == (code, True, True), (
        done.err
    )
    assert not (home / "logs").exists()
    assert not (home / "broker").exists()


def test_a_home_that_cannot_be_made_is_a_service_that_is_missing(
    curate: Call, videos: Path
) -> None:
    wrong = videos / "a.mp4" / "home"
    done = curate("--home", str(wrong), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert done.code == 4
    assert str(wrong) in done.err
    assert "CURATE_HOME" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_to(curate: Call, videos: Path) -> None:
    videos.chmod(0o555)
    done = curate("--home", str(videos), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert (done.code, "cannot be written to" in done.err) == (4, True)


def names(home: Path) -> list[str]:
    return [d.name for d in all_datasets(make_engine(f"sqlite:///{home}/curate.db"))]


@pytest.mark.parametrize(
    "other_root", [False, True], ids=["same folder", "a folder of the same name"]
)
def test_a_dataset_that_another_process_made_in_the_meantime(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch, other_root: bool
) -> None:
    """Of two runs that start at once one is late: it saw no dataset, and cannot make its own."""
    again = videos.parent / "again" / "videos" if other_root else videos
    if other_root:
        shutil.copytree(videos, again)
    assert curate("enqueue", str(videos)).code == 0
    monkeypatch.setattr(enqueuing, "_existing_database", lambda session: None)
    late = curate("enqueue", str(again))
    found = "1 new, 0 changed, 0 unchanged" if other_root else "0 new, 0 changed, 1 unchanged"
    assert (late.code, found in late.out) == (0, True), late.err
    assert names(home) == (["videos", "videos-2"] if other_root else ["videos"])


def test_a_dataset_made_in_the_meantime_with_another_pipeline(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert curate("enqueue", str(videos)).code == 0
    monkeypatch.setattr(enqueuing, "_existing_database", lambda session: None)
    late = curate("enqueue", str(videos), "--set", "split.max_seconds=7")
    assert (late.code, "split.max_seconds" in late.err) == (3, True), late.err


def test_after_a_dry_run_the_same_command_is_named_with_all_its_options(
    curate: Call, videos: Path
) -> None:
    (videos.parent / "my file.yaml").write_text(
        "pipeline: [probe, split, {filter: long, where: num_frames > 9}]"
    )
    words = [str(videos), "--config", str(videos.parent / "my file.yaml")]
    words += [
        "--set",
        "split.max_seconds=7",
        "--set",
        "long.where='num_frames > 5'",
        "--name",
        "pets",
    ]
    done = curate("enqueue", "-n", *words)
    assert (done.code, shlex.split(done.err.partition("Next: ")[2])) == (
        0,
        ["curate", "enqueue", *words],
    ), done.err
    assert shlex.split(curate("enqueue", "-n", words[0]).err)[-3:] == [
        "curate",
        "enqueue",
        words[0],
    ]


@pytest.mark.skipif(broker.redis_executable() is None, reason="no redis-server")
def test_bells_go_to_the_home_that_was_asked_for(
    tmp_path: Path, sqlite_url: str, home: Path
) -> None:
    """Not to the one of the environment, nor is the environment changed."""
    before = dict(os.environ)
    here = Session(home=tmp_path / "other")
    line = make_line(sqlite_url, here.settings.home, ["score"])
    line.put_clips(1, "score")
    with EmbeddedBroker(here.settings), closing(Messages(make_app(here.settings))) as messages:
        assert notify_workers(here, OpenDataset(line.engine, line.dataset, line.pipeline))
        assert messages.count_waiting("cpu") == 1
    assert dict(os.environ) == before
    assert not home.exists()


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
