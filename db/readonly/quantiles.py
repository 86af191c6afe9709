"""The aggregates `median(x)` and `quantile(x, share)`, which SQLite lacks."""

from __future__ import annotations

import sqlite3
from typing import Any


class _Quantile:
    """Between two values the line through them counts, as in percentile_cont of Postgres. NULL is
    passed over; of nothing it is NULL.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._share = 0.5

    def step(self, value: Any, share: Any = 0.5) -> None:
        """A row. Raises ValueError, TypeError for what is no number, or no share from 0 to 1."""
        if not 0 <= share <= 1:
            raise ValueError
        self._share = share
        if value is not None:
            self._values.append(value + 0.0)

    def finalize(self) -> Any:
        """The quantile, or None."""
        if not self._values:
            return None
        self._values.sort()
        below, rest = divmod(self._share * (len(self._values) - 1), 1)
        low = self._values[int(below)]
        return low + rest * (self._values[int(below) + 1] - low) if rest else low


def add_quantiles(connection: sqlite3.Connection) -> None:
    """Let statements on a connection call the aggregates."""
    connection.create_aggregate("median", 1, _Quantile)
    connection.create_aggregate("quantile", 2, _Quantile)
