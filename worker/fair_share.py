"""Which dataset comes next: datasets share the workers, each as much as the others.

Every process keeps account by itself, which is fair to all datasets over the batches that it runs;
no two processes have to agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

# how far a dataset that had nothing to do may lag behind the others, and so catch up later; in
# what is charged
LAG = 60.0


class FairShare:
    """Orders datasets by what each was charged, in seconds or messages, the least first."""

    def __init__(self) -> None:
        self._charged: dict[int, float] = {}

    def order(self, dataset_ids: Iterable[int]) -> list[int]:
        """The datasets, the one to serve next first; equal ones in random order.

        A new dataset joins as if it had been charged as much as the one that was charged most.
        """
        ids = list(dataset_ids)
        most = max((self._charged[i] for i in ids if i in self._charged), default=0.0)
        self._charged |= {i: max(self._charged.get(i, most), most - LAG) for i in ids}
        random.shuffle(ids)
        return sorted(ids, key=self._charged.__getitem__)

    def charge(self, dataset_id: int, amount: float) -> None:
        """Add what a dataset was given to its account."""
        self._charged[dataset_id] = self._charged.get(dataset_id, 0.0) + amount
