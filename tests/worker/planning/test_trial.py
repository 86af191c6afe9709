"""The sample run in a home of its own, and what its rows tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert

from curate.db.engine import writing
from curate.db.schema import batches
from curate.db.spending import Spent, add_spending
from curate.tasks.storage.clip_paths import archive
from curate.worker.planning.trial import TrialSession, measure
from curate.worker.processes import WorkerSpec
from curate.worker.session.database import OpenDataset
from curate.worker.session.home import HomeSession
from tests.pipelines import Line, make_line


@pytest.fixture
def line(sqlite_url: str, home: Path, catalog: None) -> Line:
    return make_line(sqlite_url, home, ["score"])


def log(line: Line, worker: str, at: int, *by_video: tuple[int, int, float, float]) -> None:
    values = {
        "dataset_id": line.dataset.id, "stage": "score", "worker": worker, "n_ok": 1,
        "n_failed": 0, "started_at": at, "seconds": 1.0, "version": "0",
        "by_video": json.dumps(by_video),
    }  # fmt: skip
    with writing(line.engine) as connection:
        connection.execute(insert(batches).values(values))


def opened(line: Line) -> OpenDataset:
    return OpenDataset(line.engine, line.dataset, line.pipeline)


def test_nothing_of_a_trial_reaches_what_the_call_works_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    for name, value in (
        ("DATABASE_URL", "postgresql://db/x"),
        ("BROKER_URL", "redis://broker/0"),
        ("MEDIA", "s3://bucket/clips"),
        ("DEVICE", "CPU"),
    ):
        monkeypatch.setenv(f"CURATE_{name}", value)
    outer = HomeSession()
    trial = TrialSession(tmp_path / "trial", quiet=True, outer=outer).settings
    assert outer.settings.database == "postgresql://db/x"
    assert trial.database == f"sqlite:///{tmp_path}/trial/curate.db"
    assert trial.clips == tmp_path / "trial/clips" and trial.samples == tmp_path / "trial/samples"
    assert (trial.model_folder, trial.device) == (home / "models", "CPU")
    worker = WorkerSpec("cpu", 1, "cpu0").environment(trial)
    assert not {"CURATE_DATABASE_URL", "CURATE_BROKER_URL", "CURATE_MEDIA"} & worker.keys()


def test_costs_clips_and_bytes_are_told_by_video(line: Line, tmp_path: Path) -> None:
    line.put_clips(3, "done", "/v/a.mp4", "kept")
    line.put_clips(1, "done", "/v/b.mp4", "dropped")
    log(line, "7@host", 1, (1, 3, 0.75, 1.0), (2, 1, 0.25, 0.5))
    add_spending(line.engine, line.dataset.id, "score", Spent(4, 100, 40, 0.5))
    path = archive(tmp_path, 2)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1234")
    found = measure(opened(line), ["/v/b.mp4", "/v/a.mp4"], tmp_path)
    score = found.stages["score"]
    assert (list(score.cpu), list(score.wall), list(score.rows)) == ([0.25, 0.75], [0.5, 1], [1, 3])
    assert score.spent == Spent(4, 100, 40, 0.5)
    assert (list(found.clips), list(found.kept)) == ([1, 3], [0, 3])
    assert list(found.sample_bytes) == [4, 0]
    assert not found.stages["probe"].cpu.any()


def test_what_a_process_needs_once_is_not_taken_for_its_pace(line: Line, tmp_path: Path) -> None:
    line.put_clips(20, "done", "/v/a.mp4", "kept")
    log(line, "7@host", 1, (1, 10, 6.0, 7.0))
    log(line, "8@host", 2, (1, 10, 4.0, 3.0))
    alone = measure(opened(line), ["/v/a.mp4"], tmp_path).stages["score"]
    assert (alone.start, list(alone.cpu)) == ((0, 0), [10]), "no later batch tells the pace"
    log(line, "7@host", 3, (1, 20, 2.0, 2.0))
    found = measure(opened(line), ["/v/a.mp4"], tmp_path).stages["score"]
    assert found.start == (pytest.approx(4.0), pytest.approx(4.0))
    assert list(found.cpu) == [pytest.approx(0.1 * 40)]
    assert np.allclose(found.wall, 0.1 * 40)


def test_what_failed_is_counted(line: Line, tmp_path: Path) -> None:
    line.put_clips(2, "score", "/v/a.mp4", "failed")
    assert sum(measure(opened(line), ["/v/a.mp4"], tmp_path).failed.values()) == 2
