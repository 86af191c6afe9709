"""The file that tells how far a batch is: what it says, when it is there, and who is left out."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.settings import Settings
from curate.db.engine import writing
from curate.db.queue.leases import Claim
from curate.tasks.stage import COUNT_EVERY, Clip, Context, Video
from curate.worker.lease_keeper import LeaseKeeper
from curate.worker.owner import new_owner
from curate.worker.progress import ProgressFile, batches_at_work, progress_folder
from curate.worker.rows import stage_rows
from tests.pipelines import Line, make_line, wait_until, writer


@pytest.fixture
def line(sqlite_url: str, home: Path) -> Line:
    return make_line(sqlite_url, home, ["score"])


def probed(line: Line) -> tuple[Claim, Video]:
    """A claim of one video of 1000 frames and 40 seconds, and that video."""
    line.enqueue("a.mp4")
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE videos SET num_frames = 1000, duration = 40"))
    held = line.held("probe", new_owner())
    (video,) = stage_rows(held, line.settings.samples)
    assert isinstance(video, Video)
    return held, video


def test_what_a_stage_counts_is_told(line: Line) -> None:
    held, video = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(held):
        context = Context(line.settings, count=file.count)
        frames = list(context.counted(video, range(COUNT_EVERY * 3 + 1)))
        assert frames == list(range(COUNT_EVERY * 3 + 1))
        file.write()
        (batch,) = batches_at_work(line.settings, line.dataset.id)
        assert (batch.stage, batch.rows, batch.path) == ("probe", 1, video.relpath)
        assert (batch.frames, batch.of_frames, batch.duration) == (COUNT_EVERY * 3, 1000, 40.0)
        assert batches_at_work(line.settings, line.dataset.id + 1) == []
    assert batches_at_work(line.settings, line.dataset.id) == []
    assert list(progress_folder(line.settings).iterdir()) == []


def test_a_batch_that_counts_nothing_is_told_by_its_row_and_time(line: Line) -> None:
    held, video = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(held):
        file.write()
        (batch,) = batches_at_work(line.settings, line.dataset.id)
        assert (batch.path, batch.frames, batch.eta) == (video.relpath, 0, None)


def test_a_clip_is_told_by_its_video_with_its_own_length(line: Line) -> None:
    line.put_clips(1, "score")
    held = line.held("score", new_owner())
    row = {**held.rows[0], "num_frames": 50, "seconds": 2.0}
    video = {**next(iter(held.videos.values())), "time_base_num": 1, "time_base_den": 25}
    told = replace(held, rows=[row], videos={row["video_id"]: video})
    (clip,) = stage_rows(told, Path("/none"))
    assert isinstance(clip, Clip) and clip.time_base == Fraction(1, 25)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(held):
        file.count(clip, 10)
        file.write()
        (batch,) = batches_at_work(line.settings, line.dataset.id)
        assert (batch.of_frames, batch.duration, batch.path) == (50, 2.0, video["relpath"])


def test_rows_before_the_one_at_work_count_as_done(line: Line) -> None:
    held, video = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(held):
        file.count(video, 900)
        file.count(replace(video), 100)
        file.write()
        (batch,) = batches_at_work(line.settings, line.dataset.id)
        assert (batch.frames, batch.media_done, batch.media) == (100, 40.0, 44.0)


def test_the_lease_keeper_writes_a_file_once_a_batch_takes_long(line: Line) -> None:
    held, _ = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(held), LeaseKeeper(line.engine, writer(), progress=file).keep(held):
        assert batches_at_work(line.settings, line.dataset.id) == []  # a short one costs nothing
        wait_until(lambda: batches_at_work(line.settings, line.dataset.id))
    assert list(progress_folder(line.settings).iterdir()) == []


def test_what_a_killed_process_left_is_not_shown_and_is_removed(line: Line) -> None:
    held, _ = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    host, namespace, _, _, name = held.request.owner.split("|")
    gone = replace(held, request=replace(held.request, owner=f"{host}|{namespace}|1|1|{name}"))
    left = ProgressFile(line.settings)
    with left.during(gone):
        left.write()
        assert len(list(progress_folder(line.settings).iterdir())) == 1
        assert batches_at_work(line.settings, line.dataset.id) == []
        ProgressFile(line.settings)  # of a process that starts
        assert list(progress_folder(line.settings).iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"owner": 1}', "null"])
def test_a_file_that_makes_no_sense_is_passed_over(home: Path, content: str) -> None:
    settings = Settings(home=home)
    folder = progress_folder(settings)
    folder.mkdir(parents=True)
    (folder / "1-2.json").write_text(content)
    assert batches_at_work(settings, 1) == []


def test_a_host_that_fell_silent_is_not_shown(line: Line) -> None:
    held, _ = probed(line)
    line.settings.folder.mkdir(exist_ok=True)
    file = ProgressFile(line.settings)
    with file.during(replace(held, request=replace(held.request, owner="other|n|1|1|b"))):
        file.write()
        (written,) = progress_folder(line.settings).iterdir()
        assert json.loads(written.read_text())["owner"] == "other|n|1|1|b"
        assert len(batches_at_work(line.settings, line.dataset.id)) == 1
        long_ago = time.time() - 100
        os.utime(written, (long_ago, long_ago))
        assert batches_at_work(line.settings, line.dataset.id) == []


def test_a_disk_that_takes_no_file_is_no_error(line: Line) -> None:
    held, _ = probed(line)
    file = ProgressFile(Settings(home=Path("/proc/nowhere")))
    with file.during(held):
        file.write()
