"""What a command prints: data on stdout (table or JSON), remarks on stderr."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Show = Callable[[Any], str]


class Console:
    """Remarks on stderr; silent with --quiet, but for warnings."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """A remark."""
        if not self.quiet:
            print(plain(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Something that went wrong without ending the command."""
        print(f"warning: {plain(text)}", file=sys.stderr, flush=True)


class Counter:
    """Shows on stderr how far long work is: in place on a terminal, else a line every 30 seconds.

    Shows nothing of short work. For use in `with`; `what` is counted, such as `clips written`.
    """

    FIRST, PLACE_EVERY, LINE_EVERY = 2.0, 0.5, 30.0  # seconds

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._in_place = sys.stderr.isatty()
        self._due = time.monotonic() + (self.FIRST if self._in_place else self.LINE_EVERY)
        self._shown = False

    def show(self, done: int, of: int | None = None) -> None:
        """So many are done, of how many when that is known. May be called as often as one likes."""
        if self._console.quiet or time.monotonic() < self._due:
            return
        share = f" of {of:,}" if of else ""
        line = f"{done:,}{share} {self._what}".replace(",", " ")
        if self._in_place:
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()
        else:
            self._console.say(f"{time.strftime('%H:%M:%S')} {line}")
        self._shown = True
        self._due = time.monotonic() + (self.PLACE_EVERY if self._in_place else self.LINE_EVERY)

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._in_place:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def emit(
    rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str] | None = None
) -> None:
    """Print rows on stdout: JSON, a table on a terminal, aligned text otherwise.

    `columns` picks and orders what the table shows; JSON has everything.
    """
    if as_json:
        emit_json(list(rows))
        return
    names = list(columns or (rows[0] if rows else ()))
    emit_cells(names, [[row.get(name) for name in names] for row in rows])


def emit_cells(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table on stdout: drawn on a terminal, else aligned text; numbers to the right."""
    cells = [[formatted(value) for value in row] for row in rows]
    numeric = []
    for i in range(len(names)):
        values = [row[i] for row in rows if row[i] is not None and row[i] != ""]
        numbers = all(isinstance(v, int | float) or str(v).endswith(" %") for v in values)
        numeric.append(numbers and any(c[i] for c in cells))
    if not sys.stdout.isatty():
        sys.stdout.write(aligned(names, cells, numeric))
        return
    import rich.console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in zip(names, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for line in cells:
        table.add_row(*map(Text, line))
    rich.console.Console().print(table)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


# what could command a terminal or turn the order of letters
_COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def formatted(value: Any) -> str:
    """A value as a table shows it: NULL empty, floats in four digits, on one line.

    What could command a terminal is written as an escape: file names come from anywhere.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return _escaped(str(value))


def _escaped(text: str) -> str:
    return _COMMANDING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def plain(text: str) -> str:
    """A text as stderr shows it: its lines, and nothing in them that commands a terminal."""
    return "\n".join(map(_escaped, text.split("\n")))


def aligned(names: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Lines of columns padded to the same width, two spaces apart: fit for grep, awk and people."""
    lines = [list(names), *map(list, cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    pad = [str.rjust if right else str.ljust for right in numeric]
    text = [
        "  ".join(p(c, w) for p, c, w in zip(pad, line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text) + "\n" if names else ""


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
