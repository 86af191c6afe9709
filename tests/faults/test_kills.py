"""Whatever is killed, the final rows are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from curate.db.engine import make_engine
from tests.drawing import picture
from tests.media import B_FRAMES, write_video
from tests.pipelines import wait_until
from tests.processes import CURATE, kill, processes

# slow enough to be killed at work
SLOW = ("--set", "cut.mode=encode", "--set", "cut.preset=slower")
OPTIONS = ("--set", "split.min_seconds=0.5", *SLOW, "-j", "2")
# ids, times and the folder differ from run to run
ROWS = """
SELECT v.relpath, c.clip_index, c.stage, c.status, c.reason, c.start_pts, c.end_pts, c.num_frames,
       c.hash_first, c.hash_middle, c.duplicate, o.clip_index AS of_index, ov.relpath AS of_video,
       c.duplicate_distance, c.flow, c.black, c.blur, c.file_size, c.owner, c.lease_until,
       c.attempts
FROM clips c JOIN videos v ON v.id = c.video_id
LEFT JOIN clips o ON o.id = c.duplicate_of LEFT JOIN videos ov ON ov.id = o.video_id
ORDER BY v.relpath, c.clip_index
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos, two of them alike."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "videos").mkdir()
    for n in range(6):
        frames = [picture(i, scene=3 * (n % 5) + i // 32) for i in range(96)]
        write_video(folder / "videos" / f"v{n}.mp4", frames, B_FRAMES)
    return folder


def start(folder: Path, home: Path, *words: str) -> subprocess.Popen[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
    with (home.parent / f"{home.name}.log").open("ab") as log:
        return subprocess.Popen(
            [CURATE, *words],
            env=clean | {"CURATE_HOME": str(home)},
            cwd=folder,
            stdout=log,
            stderr=log,
        )


def final_rows(home: Path) -> list[dict[str, Any]]:
    with make_engine(f"sqlite:///{home}/curate.db").connect() as connection:
        return [dict(r) for r in connection.execute(text(ROWS)).mappings()]


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> list[dict[str, Any]]:
    done = start(folder, folder / "calm", "run", "videos", "-o", "calm.csv", *OPTIONS)
    assert done.wait(120) == 0, (folder / "calm.log").read_text()
    rows = final_rows(folder / "calm")
    assert len(rows) == 18
    assert sum(r["duplicate"] for r in rows) == 3
    return rows


def is_at_work(home: Path) -> bool:
    """Whether a worker holds a row."""
    if not (home / "curate.db").exists():
        return False
    held = "SELECT count(*) FROM {} WHERE owner IS NOT NULL"
    with make_engine(f"sqlite:///{home}/curate.db").connect() as connection:
        tables = inspect(connection).get_table_names()
        return any(
            connection.execute(text(held.format(table))).scalar_one()
            for table in ("videos", "clips")
            if table in tables
        )


def finish(folder: Path, home: Path) -> list[dict[str, Any]]:
    done = start(folder, home, "resume", "-j", "2")
    assert done.wait(120) == 0, (home.parent / f"{home.name}.log").read_text()
    assert processes(home, "curate") == []
    return final_rows(home)


def test_everything_is_killed_and_resumed(folder: Path, undisturbed: list[dict[str, Any]]) -> None:
    home, chance = folder / "killed", random.Random(1)
    words: tuple[str, ...] = ("run", "videos", "-o", "killed.csv", *OPTIONS)
    for _ in range(2):
        line = start(folder, home, *words)
        wait_until(lambda: processes(home, "curate.worker") and is_at_work(home))
        time.sleep(chance.uniform(0.0, 0.5))
        kill([line.pid, *processes(home, "curate.worker")])
        line.wait(30)
        wait_until(lambda: not processes(home, "curate.worker"))
        words = ("resume", "-j", "2")
    assert finish(folder, home) == undisturbed


@pytest.mark.parametrize("word", ["curate.worker", "redis-server"])
def test_a_run_goes_on_by_itself_when_workers_or_redis_are_killed(
    folder: Path, undisturbed: list[dict[str, Any]], word: str
) -> None:
    home = folder / f"helped-{word[:5]}"
    line = start(folder, home, "run", "videos", "-o", "helped.csv", *OPTIONS)
    wait_until(lambda: is_at_work(home))
    assert kill(processes(home, word))
    assert line.wait(120) == 0, (folder / f"{home.name}.log").read_text()
    assert final_rows(home) == undisturbed
    assert (folder / "helped.csv").exists()
