"""What may be claimed now."""

from __future__ import annotations

from curate.db.queue.ready import waiting
from tests.pipelines import Line


def test_waiting_lists_stages_deepest_first(line: Line) -> None:
    line.enqueue("a.mp4")
    line.put_clips(1, "score", "/v/x.mp4")
    assert [s.name for s in waiting(line.engine, line.dataset.id, line.pipeline)] == [
        "score",
        "probe",
    ]
    line.claim("score")
    assert [s.name for s in waiting(line.engine, line.dataset.id, line.pipeline)] == ["probe"]
