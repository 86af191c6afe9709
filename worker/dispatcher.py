"""Sends messages about stages that have rows to claim, and expires the rows of dead processes.

The broker may lose or duplicate any message, and Redis loses those that a killed worker has taken.
Therefore each supervisor looks at the rows, every second or so while there are any to do,
and sends messages again.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import RUNNING
from curate.db.changes import change_stamp
from curate.db.engine import writing
from curate.db.queue.leases import FAR, expire_rows, holders, misdated, release_rows
from curate.db.queue.ready import Ready, ready
from curate.worker.datasets import readable_datasets
from curate.worker.fair_share import FairShare
from curate.worker.messages import Messages
from curate.worker.owner import dead_owners

log = logging.getLogger(__name__)

# listeners assumed for a queue that this host does not serve: one message wakes the other hosts
ELSEWHERE = 1
LONGEST_SLEEP = 10.0  # seconds between two looks at most, although nothing seems to have changed


def expire_rows_of_dead(engine: Engine, dataset_id: int, pipeline: Pipeline) -> int:
    """Expire the rows of processes of this host that crashed; return how many."""
    owners = dead_owners(holders(engine, dataset_id, pipeline))
    if not owners:
        return 0
    with writing(engine) as connection:
        return expire_rows(connection, dataset_id, owners)


def release_rows_of_dead(engine: Engine) -> int:
    """Release the rows of processes of this host that were told to end; return how many."""
    freed = 0
    for dataset, pipeline in readable_datasets(engine).values():
        if owners := dead_owners(holders(engine, dataset.id, pipeline)):
            with writing(engine) as connection:
                freed += release_rows(connection, dataset.id, owners)
    return freed


@dataclass(frozen=True)
class _Job:
    """A batch that may be claimed now."""

    dataset_id: int
    step: StageStep
    partial: bool = False


class Dispatcher:
    """Sends messages for all datasets; `listeners` says how many processes serve each queue."""

    def __init__(
        self,
        engine: Engine,
        messages: Messages,
        listeners: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        lease_seconds: float = 60,
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._listeners = listeners
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._fair_share = FairShare()
        # by dataset and owner: the end of the lease, and when (by the clock) it was first seen
        self._far_leases: dict[int, dict[str, tuple[float, float]]] = {}
        # by dataset and stage: since when a partial batch has waited for more rows
        self._partial_since: dict[tuple[int, str], float] = {}
        self.crashes = 0  # batches that were found without their process
        self._busy = True  # rows waited, or a lease ran, at the last look
        self._looked_at = 0.0  # by the clock
        self._stamp: tuple[object, ...] = ()

    def is_due(self) -> bool:
        """Whether a look may find anything to do.

        After one that found no row to claim and no lease, only what is written makes work.
        Raises ServiceError.
        """
        if self._busy or self._clock() - self._looked_at >= LONGEST_SLEEP:
            return True
        return change_stamp(self._engine) != self._stamp

    def dispatch(self) -> int:
        """Serve all datasets once; return how many messages were sent."""
        self._busy = True  # unless it gets to the end
        self._stamp, self._looked_at = change_stamp(self._engine), self._clock()
        waits = False
        pipelines: dict[int, Pipeline] = {}
        for dataset, pipeline in readable_datasets(self._engine, RUNNING).values():
            pipelines[dataset.id] = pipeline
            leases = holders(self._engine, dataset.id, pipeline)
            waits = waits or bool(leases)
            # a live worker renews its lease after a third of its length, which moves its end: one
            # whose end is far ahead and stays there for FAR lengths is dead
            time, before = self._clock(), self._far_leases.get(dataset.id, {})
            far: dict[str, tuple[float, float]] = {}
            for owner in misdated(self._engine, leases, self._lease_seconds):
                until, since = before.get(owner, (0.0, time))
                far[owner] = leases[owner], since if until == leases[owner] else time
            self._far_leases[dataset.id] = far
            patience = FAR * self._lease_seconds
            dead = dead_owners(leases)
            dead += [owner for owner, (_, since) in far.items() if time - since >= patience]
            if dead:
                self.crashes += len(dead)
                with writing(self._engine) as connection:
                    expire_rows(connection, dataset.id, dead)
        order = self._fair_share.order(pipelines)
        queues = {step.options.queue for pipeline in pipelines.values() for step in pipeline.stages}
        sent = 0
        for queue in sorted(queues):
            most = self._listeners.get(queue, ELSEWHERE)
            found = {i: ready(self._engine, i, pipelines[i], most, queue) for i in order}
            waits = waits or any(found.values())
            sent += self._fill(queue, most, found)
        self._busy = waits
        return sent

    def _fill(self, queue: str, listeners: int, found: Mapping[int, Sequence[Ready]]) -> int:
        """Send messages to a queue about the stages found in each dataset, up to one per listener;
        return how many.

        No more than two per listener may wait.
        """
        jobs = [list(self._jobs(i, stages)) for i, stages in found.items()]
        if not any(jobs):
            return 0
        missing = max(0, min(listeners, 2 * listeners - self._messages.count_waiting(queue)))
        # the first job of each dataset, then the second of each, …
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*jobs))
        chosen = list(itertools.islice(filter(None, in_turn), missing))
        for job in chosen:
            self._messages.send(job.step, job.dataset_id, job.partial)
            self._fair_share.charge(job.dataset_id, 1)
            if job.partial:
                self._partial_since.pop((job.dataset_id, job.step.name), None)
        return len(chosen)

    def _jobs(self, dataset_id: int, stages: Sequence[Ready]) -> Iterator[_Job]:
        """A job for each batch, in the order of the stages; partial batches once they are due."""
        for stage in stages:
            key = (dataset_id, stage.step.name)
            if stage.batches or not stage.partial:
                self._partial_since.pop(key, None)
            else:
                since = self._partial_since.setdefault(key, self._clock())
                if self._clock() - since >= stage.step.seconds_to_fill:
                    yield _Job(dataset_id, stage.step, partial=True)
            yield from [_Job(dataset_id, stage.step)] * stage.batches
