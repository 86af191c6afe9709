"""Tables, lengths of time and remarks: what may reach a terminal."""

from __future__ import annotations

import pytest

from curate.cli.shared.output import Console, Counter, aligned, counted, formatted, seconds_text


def test_a_table_never_commands_the_terminal() -> None:
    from curate.cli.shared.output import formatted

    assert (
        formatted("a\x1b[2Jb\nc\x9b\u202e\udc80 é 猫 👩‍🚀")
        == "a\\x1b[2Jb\\nc\\x9b\\u202e\\udc80 é 猫 👩‍🚀"
    )


@pytest.mark.parametrize(
    ("seconds", "text_"),
    [(None, ""), (0.4, "0s"), (59, "59s"), (200, "3m 20s"), (7500, "2h 5m"), (349_200, "4d 1h")],
)
def test_lengths_of_time(seconds: float | None, text_: str) -> None:
    assert seconds_text(seconds) == text_


def test_small_things_shown() -> None:
    assert [counted(1, "video"), counted(1280, "video")] == ["1 video", "1 280 videos"]
    assert counted(2, "process") == "2 processes"
    assert [formatted(None), formatted(0.123456), formatted("a\nb"), formatted(12)] == [
        "",
        "0.1235",
        "a\\nb",
        "12",
    ]
    assert (
        aligned(["a", "n"], [["x", "10"], ["long", "9"]], [False, True])
        == "a      n\nx     10\nlong   9\n"
    )


def test_short_work_is_not_talked_about(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter(Console(), "rows judged") as counter:
        counter.show(5, 10)
    assert capsys.readouterr().err == ""


def test_long_work_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(), "rows judged") as counter:
        counter.show(20_000, 1_000_000)
    assert capsys.readouterr().err.endswith(" 20 000 of 1 000 000 rows judged\n")


def test_quiet_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(quiet=True), "clips written") as counter:
        counter.show(1)
    assert capsys.readouterr().err == ""


def test_remarks_and_warnings_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Their lines stay lines."""
    Console().say("a\x1b[2J\nb")
    Console().warn("c\x07\nd")
    assert capsys.readouterr().err == "a\\x1b[2J\nb\nwarning: c\\x07\nd\n"
