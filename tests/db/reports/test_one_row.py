"""All that is known of one row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, text

from curate.db.reports.one_row import clips_of, dataset_of, duplicates, row_values, texts_of
from curate.db.schema import captions, option_scores
from tests.db.reports.conftest import put
from tests.pipelines import Line, make_line


def test_one_row_has_its_source(line: Line) -> None:
    (row_id,) = put(line, "score", "failed", "NotFinite")
    found = row_values(line.engine, line.dataset.id, "clip", row_id)
    assert found is not None
    assert (found["source"], found["reason"]) == ("/v/scorefailedNotFinite.mp4", "NotFinite")
    assert "owner" not in found  # NULL
    assert row_values(line.engine, line.dataset.id, "clip", row_id + 1) is None


def test_a_row_is_found_in_any_dataset(line: Line, home: Path) -> None:
    (row_id,) = put(line, "score", "kept")
    assert dataset_of(line.engine, "clip", row_id) == "set"
    assert dataset_of(line.engine, "video", 1) == "set"
    assert dataset_of(line.engine, "clip", row_id + 1) is None


def test_captions_and_options_are_those_of_the_clip(line: Line) -> None:
    one, other = put(line, "score", "kept", count=2)
    caption = {"revision": "", "prompt": "p", "text_raw": "a dog", "created_at": 1.0}
    option = {"model": "m", "revision": "", "prompt": "a {}"}
    with line.engine.begin() as connection:
        connection.execute(insert(captions), [{**caption, "clip_id": one, "model": "m"}])
        connection.execute(text("UPDATE videos SET time_base_num = 1, time_base_den = 600"))
        connection.execute(text("UPDATE clips SET start_pts = 1200"))
        window = {"window_start_pts": 1500, "window_end_pts": 2400, "model": "m"}
        connection.execute(insert(captions), [{**caption, "clip_id": one, **window}])
        rows = [
            {**option, "clip_id": one, "option": o, "score": s} for o, s in (("a", 1), ("b", 2))
        ]
        connection.execute(insert(option_scores), rows)
    found = texts_of(line.engine, one)
    assert [row["text_raw"] for row in found["captions"]] == ["a dog", "a dog"]
    assert [row["window_seconds"] for row in found["captions"]] == [None, (0.5, 2.0)]
    assert [row["option"] for row in found["option_scores"]] == ["b", "a"]
    assert texts_of(line.engine, other) == {"captions": [], "rewrites": [], "option_scores": []}


@pytest.fixture
def copies(database_url: str, home: Path) -> Line:
    """Three clips; the second and third are copies of the first."""
    made = make_line(database_url, home, ["dedup"])
    made.put_clips(3, "done", status="kept")
    with made.engine.begin() as connection:
        far = "UPDATE clips SET duplicate_of = 1, duplicate_distance = 6 - id WHERE id > 1"
        connection.execute(text(far))
    return made


def test_duplicates_are_told_from_both_sides_with_their_distance(copies: Line) -> None:
    def told(row_id: int) -> list[tuple[str, int, int]]:
        found = duplicates(copies.engine, copies.pipeline, row_id)
        return [(row["relation"], row["id"], row["distance"]) for row in found]

    assert told(1) == [("copy", 3, 3), ("copy", 2, 4)]
    assert told(2) == [("original", 1, 4)]


def test_duplicates_of_a_stage_without_a_distance(copies: Line) -> None:
    with copies.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text_duplicate_of = 1 WHERE id > 1"))
    steps = tuple(
        SimpleNamespace(name=name, order=SimpleNamespace(duplicate_of=f"{prefix}duplicate_of"))
        for name, prefix in (("dedup", ""), ("texts", "text_"))
    )
    found = duplicates(copies.engine, SimpleNamespace(stages=steps), 1)  # type: ignore[arg-type]
    told = [(row["stage"], row["id"], row["distance"]) for row in found]
    assert told == [("dedup", 3, 3), ("dedup", 2, 4), ("texts", 2, None), ("texts", 3, None)]


def test_a_video_has_its_clips_by_where_they_stand(copies: Line) -> None:
    assert clips_of(copies.engine, 1) == [
        {"stage": "done", "status": "kept", "reason": None, "clips": 3}
    ]
