"""A source that is replaced during the run: nothing of it is saved, and it begins again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from curate.db.engine import writing
from curate.tasks.inputs.files import local_input
from curate.tasks.stage import Clip, Outcome, Video
from curate.worker.runner import Runner
from tests.pipelines import Line, Probe, Score, Split, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """All stages open their source, and clips are scored in one batch."""
    for stage in (Probe, Split, Score):
        monkeypatch.setattr(stage, "opens_source", True)
    return make_line(database_url, home, ["score"])


def source(line: Line, folder: Path, name: str) -> Path:
    """A video of as many clips as the digit in its name, enqueued."""
    path = folder / name
    path.write_bytes(b"first")
    found = [local_input(str(path), str(folder))]
    datasets.enqueue(line.engine, line.dataset, found, line.pipeline)
    return path


def replace(path: Path) -> None:
    """Put another file of the same size in its place."""
    path.write_bytes(b"other")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


def on_score(of: Path, action: Callable[[], object]) -> None:
    """Do something once, while the clips of this video are scored."""
    done = []

    def hook(clip: Clip) -> None:
        if clip.video.path == str(of) and not done:
            done.append(action())

    Score.hook = staticmethod(hook)


def states(line: Line) -> list[tuple[object, ...]]:
    return line.rows("SELECT relpath, stage, status, times_replaced FROM videos ORDER BY relpath")


def test_clips_of_a_replaced_source_are_not_saved_and_its_video_begins_again(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, _ = source(line, tmp_path, "a2.mp4"), source(line, tmp_path, "b1.mp4")
    run_all(line, "probe", "split")
    on_score(a, lambda: replace(a))
    with caplog.at_level(logging.WARNING):
        (report,) = run_all(line, "score")
    assert report.startswith("3 clips: 1 ok, 0 failed") and "2 of replaced sources" in report
    assert f"{a} was replaced while it was worked on" in caplog.text
    assert states(line) == [
        ("a2.mp4", "probe", "active", 1),
        ("b1.mp4", "done", "kept", None),
    ]
    assert line.rows("SELECT score, status FROM clips") == [(0.0, "kept")]
    run_all(line, "probe", "split", "score")
    assert states(line)[0] == ("a2.mp4", "done", "kept", 1)
    assert len(line.rows("SELECT id FROM clips WHERE status = 'kept'")) == 3
    now = [local_input(str(a), str(tmp_path))]
    assert datasets.enqueue(line.engine, line.dataset, now, line.pipeline).unchanged == 1


def test_no_clips_are_made_of_a_source_that_was_replaced_since_it_was_probed(
    line: Line, tmp_path: Path
) -> None:
    a = source(line, tmp_path, "a2.mp4")
    run_all(line, "probe")
    replace(a)
    (report,) = run_all(line, "split")
    assert report.startswith("1 video: 0 ok, 0 failed") and "1 of replaced sources" in report
    assert states(line) == [("a2.mp4", "probe", "active", 1)]
    assert line.rows("SELECT id FROM clips") == []
    assert line.rows("SELECT DISTINCT owner, lease_until, attempts FROM videos") == [(None, 0, 0)]


def test_no_number_of_the_first_file_stays_when_the_second_cannot_be_read(
    line: Line, tmp_path: Path
) -> None:
    a = source(line, tmp_path, "a2.mp4")
    run_all(line, "probe", "split")
    numbers = "SELECT num_frames, width, num_clips FROM videos"
    assert line.rows(numbers) == [(100, 64, 2)]
    on_score(a, lambda: replace(a))
    run_all(line, "score")
    assert line.rows(numbers) == [(None, None, None)]

    def unreadable(self: Probe, row: Video) -> Outcome:
        raise ValueError("cut short")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Probe, "run", unreadable)
        run_all(line, "probe")
    assert states(line) == [("a2.mp4", "probe", "failed", 1)]
    assert line.rows(numbers) == [(None, None, None)]


def test_what_a_stage_could_not_read_of_a_replaced_source_is_no_failure(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = source(line, tmp_path, "a2.mp4")

    def half(self: Probe, row: Video) -> Outcome:
        replace(a)
        raise ValueError("cut short")

    with monkeypatch.context() as patch:
        patch.setattr(Probe, "run", half)
        assert Runner(line.settings, line.engine).run_one("probe") is not None
    assert states(line) == [("a2.mp4", "probe", "active", 1)]
    run_all(line, "probe", "split", "score")
    assert states(line) == [("a2.mp4", "done", "kept", 1)]


def test_a_source_that_vanishes_ends_as_the_stage_says(line: Line, tmp_path: Path) -> None:
    a = source(line, tmp_path, "a2.mp4")
    run_all(line, "probe", "split")
    on_score(a, a.unlink)
    run_all(line, "score")
    assert states(line) == [("a2.mp4", "done", "kept", None)]
    assert line.rows("SELECT count(*) FROM clips WHERE status = 'kept'") == [(2,)]


def test_a_source_that_keeps_changing_fails_and_retry_takes_it_up_again(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = source(line, tmp_path, "a1.mp4")

    def growing(self: Probe, row: Video) -> Outcome:
        replace(a)
        return Outcome({})

    with monkeypatch.context() as patch:
        patch.setattr(Probe, "run", growing)
        run_all(line, "probe")
    assert states(line) == [("a1.mp4", "probe", "failed", 4)]
    ((reason, error),) = line.rows("SELECT reason, error FROM videos")
    assert reason == "SourceChanging" and "curate retry DATASET --error SourceChanging" in str(
        error
    )
    assert datasets.retry(line.engine, line.dataset, line.pipeline) == 1
    run_all(line, "probe", "split", "score")
    assert states(line)[0][:3] == ("a1.mp4", "done", "kept")
    replace(a)
    now = [local_input(str(a), str(tmp_path))]
    assert datasets.enqueue(line.engine, line.dataset, now, line.pipeline).changed == 1
    assert states(line) == [("a1.mp4", "probe", "active", None)]


def test_a_stage_that_opens_no_source_does_not_look_at_it(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = source(line, tmp_path, "a2.mp4")
    run_all(line, "probe", "split")
    replace(a)
    monkeypatch.setattr(Score, "opens_source", False)
    run_all(line, "score")
    assert states(line) == [("a2.mp4", "done", "kept", None)]


def test_a_clip_of_a_replaced_source_that_another_worker_holds_counts_once(
    line: Line, tmp_path: Path
) -> None:
    a = source(line, tmp_path, "a2.mp4")
    run_all(line, "probe", "split")

    def replace_and_take() -> None:
        replace(a)
        with writing(line.engine) as connection:
            connection.execute(text("UPDATE clips SET owner = 'other' WHERE clip_index = 0"))

    on_score(a, replace_and_take)
    (report,) = run_all(line, "score")
    assert report.startswith(
        "2 clips: 0 ok, 0 failed, 0 dropped, 1 lost to others, 1 of replaced sources,"
    )
