"""Whose turn it is: datasets share the workers, each as much as the others.

Every process keeps a rota of its own, which is fair to all datasets over the batches that it runs;
no two processes have to agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

LAG = 60.0  # of what is shared out: what a dataset that had nothing to do may catch up with


class FairShare:
    """Orders datasets by how much of something (seconds, doorbells) each has had, the least first."""

    def __init__(self) -> None:
        self._had: dict[int, float] = {}

    def order(self, dataset_ids: Iterable[int]) -> list[int]:
        """The datasets, the one whose turn it is first, equal ones by chance. A new one joins as if
        it had had most.
        """
        ids = list(dataset_ids)
        most = max((self._had[i] for i in ids if i in self._had), default=0.0)
        self._had |= {i: max(self._had.get(i, most), most - LAG) for i in ids}
        random.shuffle(ids)
        return sorted(ids, key=self._had.__getitem__)

    def charge(self, dataset_id: int, amount: float) -> None:
        """Write down what a dataset has had."""
        self._had[dataset_id] = self._had.get(dataset_id, 0.0) + amount
