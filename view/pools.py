"""The threads that read for the pages: apart by how long it takes, so that nothing quick waits
behind what is slow.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=f"view-{name}")


@dataclass(frozen=True)
class Pools:
    """`quick` is for what indexes or the memory answer, `patient` for what reads many rows or
    searches folders, `files` for films and pictures, whose disk or store may hang.
    """

    quick: ThreadPoolExecutor = field(default_factory=lambda: _threads(8, "quick"))
    patient: ThreadPoolExecutor = field(default_factory=lambda: _threads(4, "patient"))
    files: ThreadPoolExecutor = field(default_factory=lambda: _threads(8, "files"))

    def close(self) -> None:
        """End the threads, without waiting for what they read."""
        for pool in (self.quick, self.patient, self.files):
            pool.shutdown(wait=False, cancel_futures=True)
