"""Chooses which dataset comes next, so that all datasets get an equal share of the workers' time.

Each process keeps its own account of the batches that it runs; processes need not agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

# how far an idle dataset may fall behind the others, and so catch up later, in units of a charge
LAG = 60.0


class FairShare:
    """Orders datasets by what each was charged, in seconds or messages, the least first."""

    def __init__(self) -> None:
        self._charged: dict[int, float] = {}

    def order(self, dataset_ids: Iterable[int]) -> list[int]:
        """The datasets, the one charged least first; equal ones in random order.

        A new dataset starts with the charge of the one that was charged most.
        """
        ids = list(dataset_ids)
        most = max((self._charged[i] for i in ids if i in self._charged), default=0.0)
        self._charged |= {i: max(self._charged.get(i, most), most - LAG) for i in ids}
        random.shuffle(ids)
        return sorted(ids, key=self._charged.__getitem__)

    def charge(self, dataset_id: int, amount: float) -> None:
        """Charge a dataset for what it was given, in seconds or messages."""
        self._charged[dataset_id] = self._charged.get(dataset_id, 0.0) + amount
