"""`curate run` as a user types it, on real workers and a real broker, over sound, bad and oddly
named files.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from curate.db.engine import make_engine
from curate.tasks.inputs.paths import to_text
from curate.tasks.video.decode import decode, open_media, video_stream
from tests.media import (
    BAD,
    COUNT,
    CUT,
    DAMAGED,
    ODD_NAMES,
    SOUND,
    Drawn,
    draw,
    draw_bad,
    frame_number,
    write_image,
)
from tests.processes import CURATE

# every drawing shows the same footage, so dedup is off; its scenes are short
OPTIONS = (
    "--images",
    "--set",
    "dedup.enabled=false",
    "--set",
    "split.min_seconds=0.5",
    "--set",
    "split.min_scene_len=5",
    "-j",
    "2",
)


@dataclass
class Ran:
    """A finished run: its folder, output and table, and the truth about each sound drawing."""

    folder: Path
    done: subprocess.CompletedProcess[str]
    truth: dict[str, Drawn]
    broker: str = ""

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        return clean | {"CURATE_HOME": str(self.folder / "home"), "CURATE_BROKER_URL": self.broker}

    def curate(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CURATE, *words], capture_output=True, text=True, env=self.environment, cwd=self.folder
        )

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with make_engine(f"sqlite:///{self.folder}/home/curate.db").connect() as connection:
            return [dict(r) for r in connection.execute(text(sql)).mappings()]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("run")
    videos = folder / "videos"
    truth = {}
    for kind in SOUND:
        (videos / kind).mkdir(parents=True)
        truth[kind] = draw(kind, videos / kind)
    for name, make in (("bad", BAD), ("damaged", DAMAGED)):
        (videos / name).mkdir()
        for kind in make:
            draw_bad(kind, videos / name)
    (videos / "names").mkdir()
    whole = truth["closed"].path.read_bytes()
    for raw in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(videos / "names") + b"/" + raw)).write_bytes(whole)
    write_image(videos / "still.png")
    ran = Ran(folder, subprocess.CompletedProcess([], 0), truth, pytestconfig.getoption("--broker"))
    ran.done = ran.curate("run", "videos", "-o", "clips.csv", *OPTIONS)
    yield ran


@pytest.fixture(scope="module")
def table(ran: Ran) -> pd.DataFrame:
    return pd.read_csv(ran.folder / "clips.csv")


def numbers_of(path: str) -> list[int]:
    """The frame numbers that a file shows, read from its pictures."""
    with open_media(to_text(path)) as container:
        return [
            frame_number(f.to_ndarray(format="rgb24"))
            for f in decode(container, video_stream(container))
        ]


def test_bad_files_make_the_exit_code_1_and_everything_else_is_done(ran: Ran) -> None:
    assert ran.done.returncode == 1, ran.done.stderr
    assert "curate errors" in ran.done.stderr
    assert ran.rows("SELECT count(*) AS n FROM videos WHERE status = 'active'") == [{"n": 0}]
    assert ran.rows("SELECT count(*) AS n FROM clips WHERE status = 'active'") == [{"n": 0}]


@pytest.mark.parametrize("kind", SOUND)
def test_each_clip_shows_exactly_its_planned_frames(
    ran: Ran, table: pd.DataFrame, kind: str
) -> None:
    drawn = ran.truth[kind]
    clips = table[table.source == str(drawn.path)].sort_values("start_seconds")
    (cut,) = drawn.cuts
    assert [numbers_of(p) for p in clips.path] == [drawn.numbers[:cut], drawn.numbers[cut:]]
    assert clips.num_frames.tolist() == [cut, len(drawn.numbers) - cut]
    assert clips.start_seconds.tolist() == pytest.approx([0, drawn.seconds[cut]], abs=0.0015)


def test_each_bad_file_is_a_failed_row_with_a_reason_and_advice(ran: Ran) -> None:
    rows = ran.rows("SELECT status, reason, error FROM videos WHERE relpath LIKE 'bad/%'")
    assert len(rows) == len(BAD)
    assert {r["status"] for r in rows} == {"failed"}
    assert not {r["reason"] for r in rows} & {
        "UnexpectedError",
        "WorkerCrashed",
        "StageTimeout",
        None,
    }
    assert all(str(ran.folder) in r["error"] for r in rows)


def test_what_still_decodes_of_a_damaged_file_is_used(ran: Ran) -> None:
    rows = ran.rows("SELECT status, num_clips FROM videos WHERE relpath LIKE 'damaged/%'")
    assert len(rows) == len(DAMAGED)
    assert {r["status"] for r in rows} == {"kept"}


def test_odd_names_are_files_like_any_other(ran: Ran, table: pd.DataFrame) -> None:
    videos = ran.rows("SELECT status FROM videos WHERE relpath LIKE 'names/%'")
    assert [v["status"] for v in videos] == ["kept"] * len(ODD_NAMES)
    mine = table[table.source.str.contains("/names/", regex=False)]
    assert len(mine) == 2 * len(ODD_NAMES)
    assert all(numbers_of(p) == list(range(CUT)) for p in mine.path[mine.start_seconds == 0])


def test_an_image_is_one_row_that_no_frame_rate_is_made_up_for(ran: Ran) -> None:
    sql = "SELECT c.num_frames, c.fps, flow, c.status FROM clips c JOIN videos v ON v.id = video_id"
    (row,) = ran.rows(f"{sql} WHERE relpath = 'still.png'")
    assert row == {"num_frames": 1, "fps": None, "flow": None, "status": "kept"}


def test_the_table_has_the_columns_of_the_seed_first(table: pd.DataFrame) -> None:
    seed = [
        "path",
        "text",
        "num_frames",
        "fps",
        "height",
        "width",
        "aspect_ratio",
        "resolution",
        "text_len",
    ]
    assert list(table.columns)[: len(seed)] == seed
    assert not set(table.columns) & {"owner", "lease_until", "stage", "status"}
    assert table.path.is_unique


def test_the_same_command_again_does_nothing_and_writes_the_same(ran: Ran) -> None:
    before = (ran.folder / "clips.csv").read_bytes()
    batches = ran.rows("SELECT count(*) AS n FROM batches")
    again = ran.curate("run", "videos", "-o", "clips.csv", *OPTIONS)
    assert again.returncode == 1
    assert (ran.folder / "clips.csv").read_bytes() == before
    assert ran.rows("SELECT count(*) AS n FROM batches") == batches


def test_a_rotated_video_is_cut_upright(table: pd.DataFrame, ran: Ran) -> None:
    upright = table[table.source == str(ran.truth["rotated90"].path)]
    assert set(zip(upright.width, upright.height, strict=True)) == {(160, 96)}


def test_nothing_is_left_running_and_nothing_half_written(ran: Ran) -> None:
    left = [p.name for p in (ran.folder / "home").rglob("*") if p.suffix in (".part", ".tmp")]
    assert left == []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(ran.folder).encode() not in process.read_bytes()
        except OSError:
            continue


def test_every_scored_row_has_its_samples(ran: Ran) -> None:
    videos = ran.rows("SELECT id FROM videos WHERE status = 'kept'")
    archives = list((ran.folder / "home" / "samples").rglob("*.zip"))
    assert len(archives) == len(videos)
    assert COUNT > CUT
