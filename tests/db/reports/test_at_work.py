"""How far batches are, and what that tells of the time left."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from curate.db.engine import reading, writing
from curate.db.reports.at_work import BatchAtWork, eta_by_media, etas, media_left
from tests.pipelines import Line


def batch(**values: Any) -> BatchAtWork:
    half = {"frames": 500, "of_frames": 1000, "duration": 40.0, "row_seconds": 10.0}
    return BatchAtWork("h|n|1|2|b", 1, "split", 1, 10.0, "a.mp4", **{**half, **values})


def test_half_of_40_seconds_in_10_is_twice_real_time_with_10_seconds_left() -> None:
    half = batch()
    assert (half.share, half.frame_rate, half.speed, half.eta) == (0.5, 50.0, 2.0, 10.0)


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ({"frames": 0}, (None, None, None, None)),
        ({"of_frames": None}, (None, 50.0, None, None)),
        ({"duration": None}, (0.5, 50.0, None, 10.0)),
        ({"row_seconds": 0.0}, (0.5, None, None, None)),
        ({"of_frames": 100}, (1.0, 50.0, 4.0, 0.0)),  # more frames than probe has counted
    ],
)
def test_what_is_not_known_is_none(values: dict[str, Any], known: tuple[float | None, ...]) -> None:
    one = batch(**values)
    assert (one.share, one.frame_rate, one.speed, one.eta) == known


def test_a_stage_needs_what_its_videos_hold_at_the_speed_of_all_processes() -> None:
    assert eta_by_media(100.0, [batch(), batch()]) == (100 - 40) / 4
    assert eta_by_media(40.0, [batch()]) == 10.0
    assert eta_by_media(100.0, [batch(frames=0)]) is None


def test_it_never_needs_less_than_its_longest_row() -> None:
    assert eta_by_media(60.0, [batch(), batch(of_frames=5000, duration=200.0)]) == 90.0


def test_rows_that_the_batch_is_through_with_count() -> None:
    assert eta_by_media(100.0, [batch(media_done=30.0)]) == (100 - 50) / 5


def test_clips_count_by_their_own_length(line: Line) -> None:
    line.put_clips(3, "score")
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE clips SET seconds = 7"))
        assert media_left(connection, line.dataset.id, ["score"]) == {"score": 21.0}


def test_each_stage_is_told_by_its_own_batches() -> None:
    assert etas({"split": 40.0, "probe": 5.0}, [batch()]) == {"split": 10.0}


def test_a_video_of_unknown_length_counts_as_the_average(line: Line) -> None:
    line.enqueue("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE videos SET duration = 10 * id WHERE id < 3"))
        connection.execute(text("UPDATE videos SET status = 'failed' WHERE id = 4"))
    with reading(line.engine) as connection:
        assert media_left(connection, line.dataset.id, ["probe"]) == {"probe": 45.0}
        assert media_left(connection, line.dataset.id, ["split"]) == {}
