"""What is said of videos that lost frames."""

from __future__ import annotations

from curate.cli.shared.lost_frames import list_lost, lost_json, lost_text
from curate.db.reports.frames import FrameCounts


def test_nothing_is_said_when_no_frame_was_lost() -> None:
    assert lost_text(FrameCounts(packets=100, decoded=100)) == ""


def test_lost_and_unplaced_frames_are_told_apart() -> None:
    lost = FrameCounts(packets=4000, decoded=3988, videos_with_losses=3)
    assert lost_text(lost) == "3 videos lost frames: 12 of 4,000 did not decode"
    unplaced = FrameCounts(packets=2, decoded=2, unplaced=2, videos_with_losses=1)
    assert lost_text(unplaced).startswith("1 video lost frames: 2 decoded ones are in no clip")


def test_lost_frames_have_the_form_of_a_failure() -> None:
    lost = FrameCounts(packets=10, decoded=9, videos_with_losses=1, example_id=7, example="a.mp4")
    entry = lost_json(lost)
    assert (entry["error"], entry["rows"], entry["example_id"]) == ("FramesLost", 1, 7)
    assert entry["message"] == lost_text(lost)


def test_the_videos_are_listed_by_sql_over_their_dataset() -> None:
    command, statement = list_lost(5)
    assert command == "sql"
    assert "FROM videos WHERE dataset_id = 5 AND (" in statement
