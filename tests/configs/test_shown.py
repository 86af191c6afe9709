"""Numbers, lengths of time and texts as people read them."""

from __future__ import annotations

import io

import pytest

from curate.configs.shown import bytes_text, counted, folded, formatted, seconds_text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_breaks_no_word_path_or_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/videos/" + "deep/" * 9
    text = f"error: {path} is no file. List them with: curate sql 'a, b. c' --dataset x.y; or go"
    assert folded(text, Terminal()).split("\n") == [
        f"error: {path}",
        "is no file. List them with:",
        "curate sql 'a, b. c' --dataset x.y; or",
        "go",
    ]
    assert folded(f"    {'word ' * 9}", Terminal()) == f"    {'word ' * 6}word\n    word word"
    long = f"  or: curate sql '{'x ' * 30}'"
    assert folded(f"short\n{long}", Terminal()) == f"short\n{long}"
    assert folded(text, io.StringIO()) == text


def test_a_table_never_commands_the_terminal() -> None:
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


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1 023 bytes"),
        (1536, "1.5 kB"),
        (5 << 20, "5.0 MB"),
        (3 << 40, "3.0 TB"),
        (5000 << 40, "5000.0 TB"),
    ],
)
def test_a_size_in_bytes_for_people(number: int, shown: str) -> None:
    assert bytes_text(number) == shown
