"""The clips of a video: made, replaced, forgotten."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, text

from curate.configs.schema import Order
from curate.db.save.batch import Outcomes
from curate.db.save.clips import forget_clips
from curate.tasks.stage import NewClip
from tests.pipelines import Line

ORDER = Order(number="dedup_seq", recalled=("duplicate", "hash_first", "hash_middle"))


def test_the_clips_of_a_video_enter_behind_the_filters_of_split(line: Line) -> None:
    line.enqueue("a.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = line.held("split")
    found = [NewClip(0, 0, 10, {"num_frames": 10}), NewClip(1, 10, 12, {"num_frames": 2})]
    line.save(claim, Outcomes(scores={claim.ids[0]: {}}, clips={claim.ids[0]: found}))
    assert line.rows("SELECT clip_index, stage, status, reason FROM clips ORDER BY 1") == [
        (0, "score", "active", None),
        (1, "score", "dropped", "some"),
    ]
    assert line.rows("SELECT stage, status, num_clips FROM videos") == [("done", "kept", 2)]


def test_statements_have_no_value_for_each_clip_that_is_forgotten(line: Line) -> None:
    """Postgres takes 65,535, and a long video or a hundred short ones have more clips."""
    line.put_clips(50, "score")
    numbers = []

    def count(_connection: object, _cursor: object, _sql: str, values: Any, *_: object) -> None:
        numbers.append(len(values))

    event.listen(line.engine, "before_cursor_execute", count)
    with line.engine.begin() as connection:
        (video,) = connection.execute(text("SELECT id FROM videos")).scalars()
        forget_clips(connection, line.dataset.id, [video], line.pipeline)
    assert line.rows("SELECT count(*) FROM clips") == [(0,)]
    assert numbers and max(numbers) < 50


def test_splitting_again_replaces_the_clips(line: Line) -> None:
    line.put_clips(5, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split', num_clips=5, status='active'"))
    claim = line.held("split")
    (video,) = claim.ids
    line.save(
        claim,
        Outcomes(scores={video: {}}, clips={video: [NewClip(0, 0, 1, {"num_frames": 7})]}),
    )
    assert line.rows("SELECT clip_index, num_frames FROM clips") == [(0, 7)]


def test_a_video_without_clips_is_dropped_with_the_reason(line: Line) -> None:
    line.enqueue("a.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = line.held("split")
    (video,) = claim.ids
    line.save(claim, Outcomes(scores={video: {}}, dropped={video: "no_scene"}, clips={video: []}))
    assert line.rows("SELECT status, reason, num_clips FROM videos") == [("dropped", "no_scene", 0)]


def test_text_that_came_with_the_input_goes_to_every_clip(line: Line) -> None:
    from curate.db import datasets
    from tests.pipelines import Found

    found = Found("/v/a.mp4", extra={"text": "a dog: 100%", "id": 3})
    datasets.enqueue(line.engine, line.dataset, [found], line.pipeline)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = line.held("split")
    (video,) = claim.ids
    line.save(
        claim,
        Outcomes(scores={video: {}}, clips={video: [NewClip(0, 0, 1, {"num_frames": 7})]}),
    )
    assert line.rows("SELECT text FROM clips") == [("a dog: 100%",)]
