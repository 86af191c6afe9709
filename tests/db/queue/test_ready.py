"""What may be claimed now."""

from __future__ import annotations

import pytest

from curate.db.queue.ready import ready, waiting
from tests.pipelines import Line, Score


def test_waiting_lists_stages_deepest_first(line: Line) -> None:
    line.enqueue("a.mp4")
    line.put_clips(1, "score", "/v/x.mp4")
    assert [s.name for s in waiting(line.engine, line.dataset.id, line.pipeline)] == [
        "score",
        "probe",
    ]
    line.claim("score")
    assert [s.name for s in waiting(line.engine, line.dataset.id, line.pipeline)] == ["probe"]


@pytest.mark.parametrize(("stops_at_once", "batches"), [(False, 1), (True, 4)])
def test_small_batches_are_counted_where_processes_share_what_waits(
    stops_at_once: bool, batches: int, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Score, "stops_at_once", stops_at_once)
    line.put_clips(9, "score")
    (found,) = ready(line.engine, line.dataset.id, line.pipeline, most=4)
    assert min(found.batches, 4) == batches
