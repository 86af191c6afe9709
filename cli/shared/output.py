"""What a command prints: data on stdout (table or JSON), remarks on stderr."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from curate.configs.shown import formatted, seconds_text
from curate.worker.session.console import Console

if TYPE_CHECKING:
    from rich.console import Console as Terminal

Show = Callable[[Any], str]


class Counter:
    """Shows on stderr how far long work is: in place on a terminal, else a line every 30 seconds.

    Shows nothing of short work. For use in `with`; `what` is counted, such as `clips written`.
    """

    FIRST, PLACE_EVERY, LINE_EVERY = 2.0, 0.5, 30.0  # seconds

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._in_place = sys.stderr.isatty()
        self._began = time.monotonic()
        self._due = self._began + (self.FIRST if self._in_place else self.LINE_EVERY)
        self._shown = False

    def show(self, done: int, of: int | None = None) -> None:
        """So many are done, of how many when that is known. May be called as often as one likes."""
        if self._console.quiet or time.monotonic() < self._due:
            return
        share = f" of {of:,}" if of else ""
        line = f"{done:,}{share} {self._what}".replace(",", " ")
        spent = time.monotonic() - self._began
        if of and done and spent > self.FIRST:
            line += f", {seconds_text(spent * (of - done) / done)} left"
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
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Sequence[str] | None = None,
    spare: Sequence[str] = (),
    to_stderr: bool = False,
) -> None:
    """Print rows on stdout: JSON, a table on a terminal, aligned text otherwise.

    `columns` picks and orders what the table shows, `spare` is what a narrow terminal can do
    without (see `emit_cells`); JSON has everything.
    """
    if as_json:
        emit_json(list(rows))
        return
    names = list(columns or (rows[0] if rows else ()))
    cells = [[row.get(name) for name in names] for row in rows]
    emit_cells(names, cells, spare=spare, to_stderr=to_stderr)


FOLD = 12  # a table folds texts that are wider than so many letters
LONGEST_WORD = 24  # letters of a word, such as a column's name, that it does not break


def emit_cells(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    may_fold: bool = True,
    spare: Sequence[str] = (),
    to_stderr: bool = False,
) -> None:
    """Print a table on stdout: drawn on a terminal, else aligned text; numbers to the right.

    On a terminal that is too narrow for it, though long texts are folded (if they may be), columns
    of `spare` are left out, the first one first; where that does not help, each row is printed with
    one column a line. Paths are never folded: one that does not fit stands below its row.
    """
    cells = [[formatted(value) for value in row] for row in rows]
    numeric = []
    for i in range(len(names)):
        values = [row[i] for row in rows if row[i] is not None and row[i] != ""]
        numbers = all(isinstance(v, int | float) or str(v).endswith(" %") for v in values)
        numeric.append(numbers and any(c[i] for c in cells))
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty():
        stream.write(aligned(names, cells, numeric))
        return
    import rich.console
    from rich.cells import cell_len
    from rich.text import Text

    terminal = rich.console.Console(stderr=to_stderr)
    heads = [formatted(name) for name in names]
    widths = [max(cell_len(line[i]) for line in (heads, *cells)) for i in range(len(heads))]
    least = widths
    if may_fold:
        columns = zip(widths, zip(heads, *cells, strict=True), strict=True)
        least = [min(width, max(FOLD, *map(_longest_word, lines))) for width, lines in columns]
    shown = list(range(len(heads)))
    for name in (*spare, None):
        room = terminal.width - sum(least[i] for i in shown) - 2 * (len(shown) - 1)
        if room >= 0 or len(heads) == 1:
            break
        if name is None:
            _print_records(terminal, heads, cells)
            return
        shown.remove(names.index(name))
    # what is left goes to those that need least of it first
    for number, i in enumerate(sorted(shown, key=lambda i: widths[i] - least[i])):
        more = min(widths[i] - least[i], room // (len(shown) - number))
        least[i], room = least[i] + more, room - more
    picked = [[line[i] for i in shown] for line in (heads, *cells)]
    _print_table(terminal, picked, [least[i] for i in shown], [numeric[i] for i in shown])
    if left_out := [heads[i] for i in range(len(heads)) if i not in shown]:
        terminal.print(
            Text(f"no room for: {', '.join(left_out)}; a wider terminal shows them", style="dim")
        )


def _print_table(
    terminal: Terminal,
    lines: Sequence[Sequence[str]],
    widths: Sequence[int],
    numeric: Sequence[bool],
) -> None:
    """Print a table; cells with a word wider than their column, such as a path, stand whole below
    their row.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    def begin(show_header: bool) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=show_header)
        for head, right, width in zip(lines[0], numeric, widths, strict=True):
            justify: Literal["left", "right"] = "right" if right else "left"
            table.add_column(Text(head), justify=justify, overflow="fold", width=width)
        return table

    table = begin(show_header=True)
    for line in lines[1:]:
        wide = [max(map(cell_len, cell.split()), default=0) for cell in line]
        below = [i for i, width in enumerate(widths) if wide[i] > width]
        table.add_row(*("" if i in below else cell for i, cell in enumerate(map(Text, line))))
        if below:
            terminal.print(table)
            table = begin(show_header=False)
        for i in below:
            whole = Text.assemble("    ", (lines[0][i], "bold"), f"  {line[i]}")
            terminal.print(whole, soft_wrap=True)
    if table.row_count or table.show_header:
        terminal.print(table)


def _longest_word(text: str) -> int:
    """How wide the longest word of a text is that folding it must not break."""
    from rich.cells import cell_len

    return max(
        (n for n in map(cell_len, re.split(r"[\s/]+", text)) if n <= LONGEST_WORD), default=0
    )


def emit_parts(parts: Sequence[str]) -> None:
    """Print parts with ` · ` between them; on a terminal, on as many lines as they need."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    line = ""
    for part in parts:
        longer = f"{line} · {part}" if line else part
        if line and len(longer) > width:
            print(line)
            longer = part
        line = longer
    print(line)


def _print_records(
    terminal: Terminal, names: Sequence[str], cells: Sequence[Sequence[str]]
) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    width = max(map(cell_len, names))
    for number, line in enumerate(cells, 1):
        if number > 1:
            terminal.print()
        terminal.print(Text(f"row {number}", style="dim"))
        for name, cell in zip(names, line, strict=True):
            pad = " " * (width - cell_len(name) + 2)
            # the terminal wraps what is long, so that a path or command is copied in one piece
            terminal.print(Text.assemble((name, "bold"), pad, cell), soft_wrap=True)


_SURROGATES = re.compile("[\ud800-\udfff]")


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout, of what JSON allows: NaN and infinity are null, bytes are
    base64, times ISO 8601.
    """
    utf8 = (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")
    shown = json.dumps(_as_json(value), indent=2, ensure_ascii=not utf8, allow_nan=False)
    sys.stdout.write(_SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", shown) + "\n")


def _as_json(value: Any) -> Any:
    """The value, in what JSON has a form for."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return _as_json(float(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


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
