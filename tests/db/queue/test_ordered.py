"""Ordered stages: one batch at a time, in order, and what they recall."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.schema import Order
from curate.db.queue.ordered import taken_since
from curate.db.queue.ready import waiting
from tests.pipelines import Line, make_line

ORDER = Order(number="dedup_seq", recalled=("duplicate", "hash_first", "hash_middle"))


def test_an_ordered_stage_follows_behind_the_first_unfinished_video(line: Line) -> None:
    line.put_clips(2, "inorder", "/v/a.mp4")
    line.enqueue("b.mp4")
    line.put_clips(2, "inorder", "/v/c.mp4")
    held = line.claim("inorder")
    assert held is not None
    assert {held.videos[r["video_id"]]["path"] for r in held.rows} == {"/v/a.mp4"}


def test_an_ordered_stage_waits_for_clips_of_earlier_stages(line: Line) -> None:
    line.put_clips(1, "score", "/v/a.mp4")
    line.put_clips(1, "inorder", "/v/b.mp4")
    assert line.claim("inorder") is None
    assert [s.name for s in waiting(line.engine, line.dataset.id, line.pipeline)] == ["score"]


def test_an_ordered_stage_has_one_batch_at_a_time(database_url: str, home: object) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.put_clips(4, "inorder")
    first = line.claim("inorder", "one")
    assert first is not None
    assert line.claim("inorder", "two") is None
    assert waiting(line.engine, line.dataset.id, line.pipeline) == []
    line.expire("one")
    again = line.claim("inorder", "two")
    assert again is not None
    assert again.ids == first.ids[:1], "in halves, in order"


def test_an_ordered_row_that_kills_its_worker_fails_and_the_rest_goes_on(
    database_url: str, home: object
) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 8}])
    first, *others = line.put_clips(4, "inorder")
    for n in range(12):
        held = line.claim("inorder", f"o{n}")
        if held is None or first not in held.ids:
            break
        assert held.ids == [first, *others][: len(held.ids)]
        line.expire(held.request.owner)
    assert line.rows("SELECT id, reason FROM clips WHERE status='failed'") == [
        (first, "WorkerCrashed")
    ]
    survivors: list[int] = []
    while held is not None:
        survivors += held.ids
        done = text("UPDATE clips SET status='kept', owner=NULL, lease_until=0 WHERE owner=:o")
        with line.engine.begin() as connection:
            connection.execute(done, {"o": held.request.owner})
        held = line.claim("inorder", f"later{len(survivors)}")
    assert survivors == others


def test_an_ordered_batch_comes_in_order(database_url: str, home: object) -> None:
    line = make_line(database_url, home, ["inorder"])
    line.put_clips(3, "inorder", "/v/b.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET clip_index = 10 - clip_index"))
    held = line.claim("inorder")
    assert held is not None
    assert [r["clip_index"] for r in held.rows] == [8, 9, 10]


def test_what_dedup_took_can_be_read_from_a_number_on(line: Line) -> None:
    ids = line.put_clips(3, "inorder")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dedup_seq = clip_index + 1, duplicate = 0"))
    taken = taken_since(line.engine, line.dataset.id, 1, ORDER)
    assert [[r["id"] for r in part] for part in taken] == [ids[1:]]


def test_what_dedup_took_comes_some_at_a_time_in_order(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.db.queue.ordered.RECALLED", 2)
    ids = line.put_clips(5, "inorder")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dedup_seq = 10 - clip_index, duplicate = 0"))
    parts = [
        [r["id"] for r in part] for part in taken_since(line.engine, line.dataset.id, 0, ORDER)
    ]
    assert parts == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_an_ordered_stage_recalls_what_its_order_names(line: Line) -> None:
    ids = line.put_clips(3, "inorder")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET text_seq = 3 - clip_index, dedup_seq = 9, text = 'a'")
        )
    (part,) = taken_since(
        line.engine, line.dataset.id, 1, Order(number="text_seq", recalled=("text",))
    )
    assert [dict(row) for row in part] == [
        {"id": ids[1], "text_seq": 2, "text": "a"},
        {"id": ids[0], "text_seq": 3, "text": "a"},
    ]
