"""Clips that are chosen by their ids are leased once, and only while they wait."""

from __future__ import annotations

from pathlib import Path

from curate.db.queue.chosen import lease_these, look_at, waiting_ids
from tests.pipelines import make_line


def test_clips_that_wait_are_found_and_leased_once(database_url: str, tmp_path: Path) -> None:
    line = make_line(database_url, tmp_path, ["score", "second"])
    ids = line.put_clips(4, "score")
    others = line.put_clips(1, "second", "/v/y.mp4")
    line.held("score", "other", lease_seconds=60)
    line.release("other")
    found = waiting_ids(line.engine, line.dataset.id, "score", "clip_index > 0", {})
    assert found == ids[1:]
    request = line.request("score", "me")
    looking = look_at(line.engine, request, [*ids, *others])
    seen = next(looking)
    assert line.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert list(looking) == []
    assert (seen.ids, len(seen.videos)) == (ids, 1)
    held = lease_these(line.engine, request, ids[:2])
    assert held.ids == ids[:2]
    assert lease_these(line.engine, line.request("score", "you"), ids[:3]).ids == ids[2:3]
    assert waiting_ids(line.engine, line.dataset.id, "score", "", {}) == ids[3:]
    rows = line.rows("SELECT owner, claim_size FROM clips ORDER BY id")
    assert rows[:2] == [("me", 2), ("me", 2)]
