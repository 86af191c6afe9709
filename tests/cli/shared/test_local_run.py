"""A run on this host: what is said at its end, and the exit code when it is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from curate.cli.shared.local_run import clips_folder, run_here
from curate.cli.shared.session import Session
from curate.worker.session.database import open_dataset
from curate.worker.session.running import RunStopped
from tests.cli.conftest import Call, Filled, finish_clips


def test_a_run_that_is_stopped_exits_with_130(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise RunStopped

    monkeypatch.setattr("curate.cli.shared.local_run.run_workers", stopped)
    with pytest.raises(typer.Exit) as ended:
        run_here(Session(), open_dataset(Session(), "pets"), None)
    assert ended.value.exit_code == 130


def test_a_run_says_where_its_clips_are(
    curate: Call, filled: Filled, home: Path, tmp_path: Path
) -> None:
    finish_clips(filled, "UPDATE videos SET stage = 'done', status = 'kept'")
    (home / "clips" / "pets").mkdir(parents=True)
    done = curate("resume", "pets", "-o", str(tmp_path / "clips.csv"))
    assert f"the files of the clips are in {home}/clips/pets\n" in done.err


def test_no_place_is_told_where_no_clip_was_written(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = open_dataset(Session(), "pets")
    assert clips_folder(Session(), there) is None
    monkeypatch.setenv("CURATE_MEDIA", "s3://bucket/clips")
    assert clips_folder(Session(), there) == "s3://bucket/clips/pets"
