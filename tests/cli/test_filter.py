"""filter: the funnel follows the pipeline."""

from __future__ import annotations

from sqlalchemy import text

from curate.db.engine import writing
from tests.cli.conftest import Call, Filled


def test_the_funnel_follows_the_pipeline(curate: Call, filled: Filled) -> None:
    rows = {r["step"]: r for r in curate("filter", "--json").json}
    assert list(rows) == [
        "probe",
        "split",
        "dedup",
        "unique",
        "motion",
        "not_black",
        "not_static",
        "cut",
    ]
    flow = [(r["came_in"], r["kept"]) for r in rows.values()]
    assert flow == [(3, 2), (2, 2), (7, 7), (7, 6), (6, 4), (4, 4), (4, 4), (4, 3)]
    assert rows["unique"]["dropped"] == 1
    assert rows["unique"]["where"] == "duplicate = 0"


def test_the_funnel_for_people(curate: Call, filled: Filled) -> None:
    line = next(x for x in curate("filter").out.splitlines() if x.startswith("unique"))
    assert line.split() == [
        "unique",
        "filter",
        "clips",
        "7",
        "6",
        "1",
        "0",
        "0",
        "85.7",
        "%",
        "duplicate",
        "=",
        "0",
    ]


def test_frames_and_scenes_stand_between_videos_and_clips(curate: Call, filled: Filled) -> None:
    frames = "num_frames = 100, frames_decoded = 90, frames_leftover = 20, frames_unplaced = 0"
    with writing(filled.engine) as connection:
        split = f"UPDATE videos SET {frames}, scenes_short = 3, num_clips = 2 WHERE id = 1"
        connection.execute(text(split))
    result = curate("filter", "--json")
    assert [r["step"] for r in result.json][:5] == ["probe", "split", "frames", "scenes", "dedup"]
    rows = {r["step"]: r for r in result.json}
    names = ("came_in", "kept", "dropped", "failed", "waiting")
    assert [rows["frames"][n] for n in names] == [100, 70, 20, 10, 0]
    assert [rows["scenes"][n] for n in names] == [5, 2, 3, 0, 0]
    assert "dropped: too short for a clip" in curate("filter").out
    assert "1 video lost frames: 10 of 100 did not decode" in result.err
