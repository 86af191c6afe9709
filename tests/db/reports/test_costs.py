"""What stages took and what came of videos, as rows tell it."""

from __future__ import annotations

import json

from sqlalchemy import insert, text

from curate.db.engine import writing
from curate.db.reports.costs import (
    Passed,
    StageCost,
    VideoPart,
    measured_batches,
    passed_videos,
    stage_costs,
    video_yields,
)
from curate.db.schema import batches
from tests.pipelines import Line


def log(line: Line, cpu: float | None, by_video: list[list[float]] | None, at: float) -> None:
    values = {
        "dataset_id": line.dataset.id, "stage": "score", "worker": "7@host", "n_ok": 2,
        "n_failed": 0, "started_at": at, "seconds": 2.0, "version": "0", "cpu_seconds": cpu,
        "by_video": by_video and json.dumps(by_video),
    }  # fmt: skip
    with writing(line.engine) as connection:
        connection.execute(insert(batches).values(values))


def test_batches_of_before_count_their_wall_time_alone(line: Line) -> None:
    log(line, 1.5, [[1, 2, 1.5, 1.75]], at=20)
    log(line, 0.5, [[2, 1, 0.5, 0.5]], at=10)
    log(line, None, None, at=5)
    assert stage_costs(line.engine, line.dataset.id) == {"score": StageCost(2.0, 6.0)}
    first, second = measured_batches(line.engine, line.dataset.id)
    assert (first.stage, first.worker, first.parts) == (
        "score",
        "7@host",
        [VideoPart(2, 1, 0.5, 0.5)],
    )
    assert second.parts == [VideoPart(1, 2, 1.5, 1.75)]


def test_what_came_of_videos(line: Line) -> None:
    line.put_clips(2, "done", "/v/a.mp4", "kept")
    line.enqueue("b.mp4")
    found = {one.path: one[2:] for one in video_yields(line.engine, line.dataset.id, line.pipeline)}
    assert found == {"/v/a.mp4": (2, 2, 0), "/v/b.mp4": (0, 0, 0)}


def test_videos_that_ended_are_through_all_stages_of_videos(line: Line) -> None:
    line.enqueue("a.mp4", "b.mp4", "c.mp4")
    ends = ["stage = 'split'", "status = 'failed', stage = 'probe'", "stage = 'probe'"]
    with writing(line.engine) as connection:
        for number, end in enumerate(ends, 1):
            sizes = "duration = 2.0, num_frames = 10, width = 4, height = 3, size_bytes = 7"
            change = f"UPDATE videos SET {sizes}, {end} WHERE id = {number}"
            connection.execute(text(change))
    found = passed_videos(line.engine, line.dataset.id, line.pipeline)
    assert found["probe"] == Passed(2, 14, 4.0, 20, 240)
    assert found["split"] == Passed(1, 7, 2.0, 10, 120)
