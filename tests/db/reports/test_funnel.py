"""The funnel as rows, with what became of frames and scenes behind the stage that makes clips."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from curate.db.reports.funnel import funnel_rows
from tests.pipelines import make_line


def test_frames_and_scenes_stand_behind_the_stage_that_makes_clips(
    sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, ["score", "good: score >= 1"])
    line.put_clips(3, "done", status="kept")
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE videos SET num_frames = 100, frames_decoded = 90, frames_leftover = 20,"
                " frames_unplaced = 0, scenes_short = 2, num_clips = 3"
            )
        )
    rows = {
        row["step"]: (row["came_in"], row["kept"], row["dropped"], row["failed"])
        for row in funnel_rows(line.engine, line.dataset.id, line.pipeline)
    }
    assert list(rows) == ["probe", "split", "frames", "scenes", "score", "good"]
    assert rows["frames"] == (100, 70, 20, 10)
    assert rows["scenes"] == (5, 3, 2, 0)
    assert rows["good"] == (3, 3, 0, 0)
