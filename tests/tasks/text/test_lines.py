"""Readings of one text in several frames are one text; texts that only look alike are not."""

from __future__ import annotations

from curate.tasks.text.lines import Line, standing


def told(*frames: list[str]) -> list[tuple[str, int]]:
    lines = [[Line(text, 0.9, 0.01 * len(text)) for text in frame] for frame in frames]
    return [(one.best.text, len(one.frames)) for one in standing(lines)]


def test_what_stands_in_most_frames_comes_first_then_the_largest() -> None:
    assert told(["a", "LOGO"], ["LOGO", "a long line"], ["LOGO"]) == [
        ("LOGO", 3), ("a long line", 1), ("a", 1),
    ]  # fmt: skip


def test_readings_that_differ_in_a_letter_spaces_or_case_are_one_text() -> None:
    assert told(["BREAKING NEWS"], ["BREAK1NG NEWS"], ["Breakingnews"]) == [("BREAKING NEWS", 3)]


def test_the_surest_reading_is_the_one_told() -> None:
    frames = [[Line("CHANNE1 5", 0.6, 0.1)], [Line("CHANNEL 5", 0.9, 0.1)]]
    assert [one.best.text for one in standing(frames)] == ["CHANNEL 5"]


def test_two_lines_of_a_frame_are_one_text_only_if_equal() -> None:
    assert told(["first item 1", "first item 2"], ["first item 1"]) == [
        ("first item 1", 2), ("first item 2", 1),
    ]  # fmt: skip
    assert told(["twice", "twice"]) == [("twice", 1)]


def test_without_text_there_is_none() -> None:
    assert told([], []) == [] == told()
