"""The gate that requests to servers go through: their limits hold for all processes together."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from curate.configs.errors import BudgetSpent, ServiceError
from curate.db import permits, spending
from curate.db.spending import KeptAnswer, Spent
from curate.tasks.servers.server_stage import Answer, ServerLimit, Usage
from curate.worker.owner import new_owner

log = logging.getLogger(__name__)

# seconds between two looks whether it is the turn of a request, and by how much they grow
FIRST_LOOK, LONGEST_LOOK, GROWTH = 0.02, 0.5, 1.25


class Permits:
    """The permits of this process. Each process creates one, after the fork. Thread-safe.

    Of each server, one thread of the process is in line at a time: whoever is killed there leaves
    one place that nobody takes until its lease ends.
    """

    def __init__(self, engine: Engine, lease_seconds: float) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._owner = ""
        self._held: set[int] = set()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._freed: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, limit: ServerLimit, seconds: float) -> Iterator[None]:
        """A permit within the block. Raises ServiceError where none is had within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._lock:
            self._owner = self._owner or new_owner()
            turn, freed = self._turns[limit.name], self._freed[limit.name]
        if not turn.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            raise _no_room(limit, seconds)
        try:
            permit = self._wait(limit, deadline, seconds, freed)
        finally:
            turn.release()
        try:
            yield
        finally:
            self._give_back(permit)
            freed.set()

    def renew(self) -> None:
        """Renew the permits that are held. Raises ServiceError."""
        with self._lock:
            held = set(self._held)
        if held:
            permits.renew_permits(self._engine, held, self._lease_seconds)

    def _wait(
        self, limit: ServerLimit, deadline: float, seconds: float, freed: threading.Event
    ) -> int:
        """A permit whose request may be sent now."""
        permit, look = self._get_in_line(limit), FIRST_LOOK
        try:
            while True:
                freed.clear()
                first = permits.is_first(
                    self._engine, permit, limit.name, limit.at_a_time, self._lease_seconds
                )
                if first is None:  # the database was away for longer than a lease
                    self._give_back(permit)
                    permit = self._get_in_line(limit)
                    continue
                wait = look
                if first:
                    paced = limit.per_minute
                    wait = permits.keep_pace(self._engine, limit.name, paced) if paced else 0.0
                    if not wait:
                        return permit
                if time.monotonic() + wait > deadline:
                    raise _no_room(limit, seconds)
                freed.wait(wait)
                look = min(LONGEST_LOOK, GROWTH * look)
        except BaseException:
            self._give_back(permit)
            raise

    def _get_in_line(self, limit: ServerLimit) -> int:
        permit = permits.get_in_line(self._engine, limit.name, self._owner, self._lease_seconds)
        with self._lock:
            self._held.add(permit)
        return permit

    def _give_back(self, permit: int) -> None:
        with self._lock:
            self._held.discard(permit)
        with suppress(ServiceError):  # then it ends by itself, for nobody renews it
            permits.give_back(self._engine, permit)


def _no_room(limit: ServerLimit, seconds: float) -> ServiceError:
    why = f"it had no room for a request within {seconds:.0f} s, for others came first"
    return ServiceError(what=f"The server {limit.name}", why=why)


@dataclass
class SharedGate:
    """The gate of one stage of one dataset: a RequestGate over the database."""

    engine: Engine
    permits: Permits
    dataset_id: int
    stage: str
    max_cost: float = 0.0
    pipeline: str = ""  # the frozen one that says max_cost
    sends: bool = True
    _uncounted: Spent = field(default_factory=Spent)
    _lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def permit(self, limit: ServerLimit, seconds: float) -> Iterator[None]:
        """See RequestGate. The budget is looked at last: others may have spent it meanwhile."""
        with self.permits.hold(limit, seconds):
            if self.max_cost:
                spent = spending.pause_at_budget(
                    self.engine, self.dataset_id, self.stage, self.max_cost, self.pipeline
                )
                if spent is not None:
                    told = {"spent": f"{spent:.4g}", "most": f"{self.max_cost:.4g}"}
                    raise BudgetSpent(stage=self.stage, **told)
            yield

    def spend(self, usage: Usage, answer: Answer | None = None) -> None:
        """See RequestGate. What cannot be written now is counted with the next answer, or once the
        batch is saved.
        """
        kept = [KeptAnswer(answer.row_id, answer.request, answer.content)] if answer else []
        self._count(Spent(1, usage.tokens_in, usage.tokens_out, usage.cost), kept)

    def _count(self, new: Spent, kept: Sequence[KeptAnswer] = ()) -> None:
        with self._lock:
            new, self._uncounted = self._uncounted + new, Spent()
        try:
            spending.add_spending(self.engine, self.dataset_id, self.stage, new, kept)
        except ServiceError as error:
            log.warning("stage %s: what a request cost is counted later: %s", self.stage, error)
            with self._lock:
                self._uncounted += new

    def answers(self, request: str, row_ids: Sequence[int]) -> Mapping[tuple[int, str], str]:
        """See RequestGate."""
        return spending.kept_answers(self.engine, self.stage, request, row_ids)

    def forget(self, row_ids: Collection[int]) -> None:
        """Delete the kept answers about rows that are saved, and count what was not yet."""
        if self._uncounted.requests:
            self._count(Spent())
        with suppress(ServiceError):  # they are told apart from new ones by their time
            spending.forget_answers(self.engine, self.stage, row_ids)
