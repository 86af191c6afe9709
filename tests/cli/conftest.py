"""The command line called in this process, and a database with rows in every state."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, insert, text, update

from curate.cli.main import call
from curate.db import datasets
from curate.db.datasets import Dataset
from curate.db.engine import make_engine, writing
from curate.db.reports.progress import StageProgress, Totals
from curate.db.schema import batches, captions, clips, videos
from curate.tasks.inputs.files import Input
from curate.worker.session.pipelines import resolve, resolve_steps
from tests.pipelines import Line, make_line


@dataclass(frozen=True)
class Result:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Result]


@pytest.fixture
def curate(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls `curate` with the words given."""

    def run(*argv: str) -> Result:
        capsys.readouterr()
        code = call(argv)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class Filled:
    """A database: dataset `pets` with three videos and seven clips, in every state there is."""

    engine: Engine
    dataset: Dataset


CLIP = {
    "start_pts": 0,
    "end_pts": 100,
    "num_frames": 100,
    "fps": 25.0,
    "start_seconds": 0.0,
    "end_seconds": 4.0,
}


@pytest.fixture
def filled(home_database: str) -> Filled:
    """Dataset `pets` of the default pipeline; see Filled."""
    engine = make_engine(home_database)
    pipeline = resolve(None, ready=False).pipeline
    dataset = datasets.create(engine, "pets", "/videos/pets", pipeline)
    extra = {"text": "a cat", "license": "CC0", "year": 1999}
    found = [
        Input("/v/a.mp4", "a.mp4", "1", extra),
        Input("/v/b.mp4", "b.mp4", "1"),
        Input("/v/c.mp4", "c.mp4", "1"),
    ]
    datasets.enqueue(engine, dataset, found, pipeline)
    failed = {
        "stage": "probe",
        "status": "failed",
        "reason": "EmptyFile",
        "error": "/v/c.mp4 is empty (0 bytes)",
    }
    with writing(engine) as connection:
        same = {"dataset_id": dataset.id}
        connection.execute(
            update(videos).where(videos.c.id < 3).values(stage="done", status="kept")
        )
        connection.execute(update(videos).where(videos.c.id == 3).values(**failed))
        connection.execute(insert(clips), [{**CLIP, **same, **values} for values in _clips()])
        batch = {
            "stage": "probe",
            "worker": "7@host",
            "n_ok": 2,
            "n_failed": 1,
            "seconds": 1.0,
            "version": "0",
        }
        connection.execute(insert(batches).values(**same, **batch, started_at=time.time() - 10))
    return Filled(engine, dataset)


def _clips() -> list[dict[str, Any]]:
    holder = "host|ns|7|1|batch"
    first = {"video_id": 1, "path": None, "text": None}
    kept = {
        "stage": "done",
        "status": "kept",
        "reason": None,
        "error": None,
        "owner": None,
        "lease_until": 0.0,
    }
    return [
        kept | {"video_id": 2, "clip_index": 0, "path": "/c/b_scene-0.mp4", "text": None},
        kept | {"video_id": 1, "clip_index": 1, "path": None, "text": "a cat"},
        kept | {"video_id": 1, "clip_index": 0, "path": "/c/a_scene-0.mp4", "text": "a cat"},
        kept | first | {"clip_index": 2, "stage": "motion", "status": "dropped",
                        "reason": "unique"},
        kept | first | {"clip_index": 3, "stage": "cut", "status": "failed",
                        "reason": "CutMismatch", "error": "9"},
        kept | first | {"clip_index": 4, "stage": "motion", "status": "active", "owner": holder,
                        "lease_until": time.time() + 3600},
        kept | first | {"clip_index": 5, "stage": "motion", "status": "active"},
    ]  # fmt: skip


STEPS = """
pipeline:
  - probe
  - split
  - stage: openai
    model: m
  - clean_text
  - filter: told
    where: text_len > 2
  - text_language
"""


STAGES = [
    StageProgress("probe", "video", "cpu", 0, 0, 2, 0, 0, 1.0),
    StageProgress("motion", "clip", "cpu", 3, 1, 2, 1, 1, 2.0),
    StageProgress("cut", "clip", "cpu", 0, 0, 0, 0, 0),
]


TOTALS = Totals(videos=2, clips=8, kept=5, dropped=2, failed=1, active=0, finished_videos=2)


FULL = "Stage cut found no space left"


Write = Callable[[str], Path]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Four clips at the stage score."""
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 2}])
    line.put_clips(4, "score")
    return line


def give_pipeline(filled: Filled, steps: list[Any]) -> None:
    """Give the dataset a pipeline of these steps."""
    pipeline = resolve_steps(
        [{"stage": s} if isinstance(s, str) else s for s in steps], (), "test", ready=False
    ).pipeline
    datasets.add_columns(filled.engine, pipeline.columns())
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE datasets SET pipeline = :p"), {"p": json.dumps(pipeline.frozen())}
        )


@pytest.fixture
def captioned(filled: Filled) -> Filled:
    """The dataset `pets` with captions in its line, each clip with one by `m` of four words."""
    give_pipeline(filled, yaml.safe_load(STEPS)["pipeline"])
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE clips SET stage='done', status='kept', text='a', text_len=4, owner=NULL")
        )
        row = {
            "model": "m",
            "revision": "",
            "prompt": "p",
            "text_raw": "A dog runs here",
            "created_at": 1.0,
        }
        connection.execute(insert(captions), [{**row, "clip_id": n} for n in range(1, 8)])
    return filled


def option_of(filled: Filled, stage: str, name: str) -> object:
    """An option of a stage of the dataset, as it is now."""
    frozen = datasets.pick(filled.engine, "pets").frozen
    return next(s for s in frozen if s.get("stage") == stage)[name]


def positions(filled: Filled) -> list[tuple[object, ...]]:
    """How many clips are at each stage, and where they return to."""
    query = "SELECT stage, return_to, count(*) FROM clips GROUP BY 1, 2 ORDER BY 1, 2"
    with filled.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def program(log: Path, *argv: str) -> subprocess.Popen[bytes]:
    """The real program, its stderr in a file."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "curate.cli.main", *argv], stdout=stream, stderr=stream
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="videos")
def video_folder(tmp_path: Path) -> Path:
    """A folder with a file that looks like a video by its name."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    return folder


def finish_clips(filled: Filled, *statements: str) -> None:
    """Let all clips at work be kept, and run more statements."""
    with filled.engine.begin() as connection:
        for statement in (
            "UPDATE clips SET status = 'kept', stage = 'done' WHERE status = 'active'",
            *statements,
        ):
            connection.execute(text(statement))


def put_batches(filled: Filled, reason: str | None, count: int = 6, age: float = 0) -> None:
    """Batches of `cut`, given back for a reason or (None) saved."""
    error = None if reason is None else FULL
    batch = {
        "dataset_id": filled.dataset.id, "stage": "cut", "worker": "7@host", "n_ok": 0,
        "n_failed": 0, "version": "0",
        "started_at": time.time() - age, "seconds": 0.1, "error": error, "reason": reason,
    }  # fmt: skip
    with filled.engine.begin() as connection:
        connection.execute(insert(batches), [batch] * count)


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Writes a pipeline file."""

    def write(steps: str) -> Path:
        path = tmp_path / "pipeline.yaml"
        path.write_text(f"pipeline: [{steps}]")
        return path

    return write
