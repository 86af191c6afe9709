"""`curate stats`: how the values of columns are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from curate.cli.shared.options import Json, OfDataset, RowLevel, column_names, level_of
from curate.cli.shared.output import Counter, emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.schema import Column, Level
from curate.configs.shown import formatted
from curate.db.datasets import all_datasets
from curate.db.filters.columns import unknown
from curate.db.reports.distribution import (
    ALL,
    BINS,
    Distribution,
    distributions,
    known_columns,
    measures,
)
from curate.db.reports.histogram import SHARES
from curate.worker.session.database import OpenDataset, open_dataset

BARS, ASCII_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
SHOWN = (ALL, "kept")


def stats(
    ctx: typer.Context,
    columns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COLUMN]...",
            help="Columns; all measured numbers, and buckets, if left out.",
            autocompletion=column_names,
        ),
    ] = None,
    dataset: OfDataset = None,
    level: RowLevel = "clip",
    as_json: Json = False,
) -> None:
    """Show how the values of columns are distributed: count, NULL, quantiles, a histogram.

    All words are columns; --dataset names the dataset. Dropped clips count too: both lines of a
    histogram have the same bins and the same scale, so their difference is what was not kept. For a
    column of texts, the most common values are listed.

    Example:
      curate stats
      curate stats flow static --dataset videos
      curate stats reason --json
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    of = level_of(level)
    chosen = _chosen(opened, of, columns or [])
    with Counter(session.console, f"{of}s read") as counter:
        read = list(distributions(opened.engine, opened.dataset.id, of, chosen, counter.show))
    if not columns:
        read = [one for one in read if one.nulls < one.rows]
    if as_json:
        emit_json([asdict(one) for one in read])
        return
    for number, one in enumerate(read):
        print("\n" * bool(number), end="")
        if isinstance(one, Distribution):
            _print_numbers(one, chosen[one.column])
        else:
            kinds = f"{one.different} different"
            print(f"{one.column}   of {one.rows - one.nulls} of {one.rows}, {kinds}")
            emit_cells(("value", "rows", "kept"), [(v.value, v.rows, v.kept) for v in one.common])
    if not read:
        session.console.say(f"dataset {opened.name}: no number is measured yet")
    session.next(("filter", opened.name))


def _chosen(opened: OpenDataset, level: Level, columns: Sequence[str]) -> dict[str, Column]:
    """The columns, each with its kind. Raises UsageError for one that is not there."""
    known = known_columns(opened.pipeline, level)
    for name in columns:
        if name not in known:
            is_dataset = name in [d.name for d in all_datasets(opened.engine)]
            why = f"{name} is a dataset: write --dataset {name}" if is_dataset else ""
            raise UsageError(what=why or unknown(name, known))
    if columns:
        return {name: known[name] for name in columns}
    return measures(opened.pipeline, level) | {n: c for n, c in known.items() if c.counted}


def _print_numbers(one: Distribution, column: Column) -> None:
    """Print a column of numbers: quantiles as a table, a line of bars for each histogram below."""
    from rich.console import Console
    from rich.text import Text

    terminal = Console()
    odd = f", {one.not_finite} not finite" if one.not_finite else ""
    better = f"   {column.better} is better" if column.better else ""
    print(f"{one.column}   measured on {one.rows - one.nulls} of {one.rows}{odd}{better}")
    summaries = {name: one.summaries[name] for name in SHOWN if name in one.summaries}
    rows = []
    for name, part in summaries.items():
        found = (part.quantiles.get(share) for share in SHARES)
        rows.append((name, part.count, *map(_number, found)))
    heads = [f"{100 * share:.0f} %" for share in SHARES[1:-1]]
    spare = (heads[0], heads[-1], heads[1], heads[-2])
    emit_cells(("", "count", "min", *heads, "max"), rows, spare=spare)
    if not one.edges:
        return
    most = max(one.histograms[ALL])
    letters = BARS if terminal.encoding.lower().startswith("utf") else ASCII_BARS
    label = max(map(len, SHOWN))
    each = max(1, BINS // len(one.histograms[ALL]))
    for name in summaries:
        heights = (math.ceil(count / most * (len(letters) - 1)) for count in one.histograms[name])
        drawn = "".join(letters[height] * each for height in heights)
        style = "green" if name == "kept" else "dim"
        terminal.print(
            Text.assemble(name.ljust(label), "  ", (drawn.rstrip(), style)), soft_wrap=True
        )
    ends = (one.summaries[ALL].quantiles[share] for share in (SHARES[0], SHARES[-1]))
    low, high = (formatted(_number(end)) for end in ends)
    width = each * len(one.histograms[ALL]) - len(low)
    grows = " log" if one.log else ""
    print(f"{' ' * label}  {low}{high.rjust(width)}{grows}")


def _number(value: float | None) -> float | None:
    """The number, as an int where it is whole or large, which as a float has an exponent."""
    large = value is not None and 1e4 <= abs(value) < 1e9
    return round(value) if value is not None and (large or value.is_integer()) else value
