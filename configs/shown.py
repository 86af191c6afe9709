"""Numbers, sizes, lengths of time and texts of any origin, as people read them."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import Any, TextIO

# what could command a terminal or turn the order of letters
_COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def formatted(value: Any) -> str:
    """A value as a table shows it: NULL empty, floats in four digits, of bytes how many; on one
    line.

    What could command a terminal is written as an escape: file names come from anywhere.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return counted(len(value), "byte")
    return _escaped(str(value))


def _escaped(text: str) -> str:
    return _COMMANDING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def plain(text: str) -> str:
    """A text as stderr shows it: its lines, and nothing in them that commands a terminal."""
    return "\n".join(map(_escaped, text.split("\n")))


# a command of curate in a text: up to a full stop, a comma, …, or the end of the line
_COMMAND = re.compile(r"(?<![\w/.-])curate(?: (?:'[^']*'|[^\s'.,;:?)]|[.,:](?=\S))+)+")
_NO_BREAK = "\x00"  # a space at which a line is not folded


def folded(text: str, stream: TextIO) -> str:
    """The text in lines that fit where `stream` is a terminal; elsewhere as it is.

    Words, commands of curate and paths without a space stay whole, so that they can be copied.
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.split("\n"):
        words = line.lstrip()
        indent = line[: len(line) - len(words)]
        glued = _COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), words)
        # what is longer than a line needs no line of its own
        glued = re.sub(rf" (?=[^ ]{{{width},}})", _NO_BREAK, glued)
        pieces = textwrap.wrap(
            glued,
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += pieces if len(line) > width else [line]
    return "\n".join(lines).replace(_NO_BREAK, " ")


def seconds_text(seconds: float | None) -> str:
    """A length of time for people: 8s, 3m 20s, 2h 5m, 4d 1h; empty for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    for size, unit, smaller, name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller}{name}"
    return f"{whole}s"


def counted(number: int, noun: str) -> str:
    """`1 video`, `1 280 videos`."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{number:,}".replace(",", " ") + f" {plural}"


def percent(share: float) -> str:
    """A share of 1 as text, `12.3 %`."""
    return f"{100 * share:.1f} %"


def bytes_text(number: float) -> str:
    """A size for people: 12 bytes, 1.5 kB, 20.3 MB, 1.2 GB; a kB is 1024 bytes."""
    if number < 1024:
        return counted(int(number), "byte")
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1024
        if number < 1024 or unit == "TB":
            break
    return f"{number:.1f} {unit}"
