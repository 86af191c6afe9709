"""Groups of clips by a column, such as concepts: made less unequal, or held out, in an export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Engine,
    FromClause,
    Select,
    Text,
    column,
    func,
    literal,
    literal_column,
    select,
)

from curate.db.engine import reading

WEIGHT = "balance_weight"  # the column of an export that is balanced without a sample
Value = int | str
Counts = Mapping[Value, int]


@dataclass(frozen=True)
class Balance:
    """How groups are balanced: so that the share of each is as its `counts` to the power `alpha`.

    `quotas` says how many clips are taken of each; without them all are, with weights.
    """

    column: str
    alpha: float
    counts: Counts
    quotas: Counts | None = None

    @property
    def weights(self) -> dict[Value, float]:
        """The weight of a clip of each group; their mean over all clips is 1."""
        total, powered = sum(self.counts.values()), sum(self._powers.values())
        return {
            value: power / number * total / powered
            for value, power, number in zip(
                self.counts, self._powers.values(), self.counts.values(), strict=True
            )
        }

    @property
    def after(self) -> Mapping[Value, float]:
        """How much of each group there is after balancing: clips, or their weight."""
        if self.quotas is not None:
            return self.quotas
        return {value: n * self.weights[value] for value, n in self.counts.items()}

    @property
    def _powers(self) -> dict[Value, float]:
        return {value: float(number**self.alpha) for value, number in self.counts.items()}


def shares_to_quotas(counts: Counts, alpha: float, size: int) -> dict[Value, int]:
    """How many clips to take of each group, `size` in all or all there are.

    Shares are as counts to the power alpha; what a group cannot give is taken from the others, in
    the same proportion. Whole numbers by the largest remainder.
    """
    left = min(size, sum(counts.values()))
    quotas: dict[Value, int] = {}
    open_ = {value: float(number**alpha) for value, number in counts.items()}
    while True:
        scale = left / max(sum(open_.values()), 1e-300)
        full = [value for value, power in open_.items() if power * scale >= counts[value]]
        if not full:
            break
        for value in full:
            quotas[value] = counts[value]
            left -= counts[value]
            del open_[value]
    exact = {value: power * scale for value, power in open_.items()}
    quotas |= {value: int(number) for value, number in exact.items()}
    short = left - sum(quotas[value] for value in open_)
    by_remainder = sorted(open_, key=lambda value: (quotas[value] - exact[value], str(value)))
    for value in by_remainder[:short]:
        quotas[value] += 1
    return {value: quotas[value] for value in counts}


def group_sizes(engine: Engine, clips: Select[Any], name: str) -> dict[Value, int]:
    """How many of the clips have each value of a column, NULL left out; by value.

    `clips` is a query that still needs its columns.
    """
    value: ColumnElement[Any] = column(name)
    query = clips.add_columns(value, func.count()).where(value.is_not(None)).group_by(value)
    with reading(engine) as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query.order_by(value))}


def held_values(counts: Counts, number: int, seed: int) -> tuple[Value, ...]:
    """So many of the groups, by a hash of their value: the same for the same seed."""
    hashed = {v: hashlib.sha256(f"hold-out/{seed}/{v}".encode()).digest() for v in counts}
    return tuple(sorted(hashed, key=lambda value: hashed[value])[:number])


def balanced_ids(
    clips: Select[Any], name: str, quotas: Counts, order: ColumnElement[str], dialect: str
) -> Select[Any]:
    """The ids of the first clips of each group, in that order, as many as its quota says.

    `clips` is a query that still needs its columns.
    """
    value: ColumnElement[Any] = column(name)
    clip_id: ColumnElement[Any] = column("clip_id")
    rank = func.row_number().over(partition_by=value, order_by=(order, clip_id))
    ranked = clips.add_columns(clip_id, value.label("value"), rank.label("rank")).subquery("ranked")
    taken = _table(quotas, dialect)
    query = select(ranked.c.clip_id).join_from(ranked, taken, ranked.c.value == taken.c.value)
    return query.where(ranked.c.rank <= taken.c.number)


def _table(numbers: Counts, dialect: str) -> FromClause:
    """Values and their numbers as rows: from arrays on Postgres, from JSON on SQLite."""
    values: Sequence[Value] = list(numbers)
    if dialect == "sqlite":
        pairs = json.dumps(list(numbers.items()))
        rows = func.json_each(literal(pairs, Text())).table_valued("value", name="pairs")
        parts = [func.json_extract(rows.c.value, literal_column(f"'$[{n}]'")) for n in (0, 1)]
        pairs_of = select(parts[0].label("value"), parts[1].label("number")).cte("quotas")
        # materialized, SQLite makes an index of it; else it reads all pairs for every clip
        return pairs_of.prefix_with("MATERIALIZED")
    kind = Text() if any(isinstance(value, str) for value in values) else BigInteger()
    arrays = [literal(values, ARRAY(kind)), literal(list(numbers.values()), ARRAY(BigInteger()))]
    value: ColumnElement[Any] = column("value", kind)
    rows = func.unnest(*arrays).table_valued(value, column("number", BigInteger()))
    return rows.render_derived(name="quotas")
