"""The command line called in this process, and a database with rows in every state."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from curate.cli.main import call
from curate.cli.shared.pipelines import resolve
from curate.db import datasets, migrate
from curate.db.datasets import Dataset
from curate.db.engine import make_engine, writing
from curate.db.schema import batches, clips, videos
from curate.tasks.inputs.files import Input


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
    """A database: dataset `pets` with three videos and seven clips, in every state that there is."""

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
def filled(home: Path) -> Filled:
    """Dataset `pets` of the default pipeline; see Filled."""
    engine = make_engine(f"sqlite:///{home / 'curate.db'}")
    migrate.ensure(engine)
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
        kept | first | {"clip_index": 2, "stage": "motion", "status": "dropped", "reason": "unique"},
        kept | first | {"clip_index": 3, "stage": "cut", "status": "failed", "reason": "CutMismatch", "error": "9"},
        kept | first | {"clip_index": 4, "stage": "motion", "status": "active", "owner": holder,
                        "lease_until": time.time() + 3600},
        kept | first | {"clip_index": 5, "stage": "motion", "status": "active"},
    ]  # fmt: skip
