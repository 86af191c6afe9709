"""The top-up loop: rings stages that have rows to claim, and frees what dead workers of this host
held.

The broker may lose or double any message: Redis with late acknowledgement was measured to lose 3 of
6000 in 6 kills. So whoever supervises workers looks at the rows, every second or so, and rings
again.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from curate.configs.pipeline import Pipeline, StageStep
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import writing
from curate.db.queue.leases import FAR, expire_rows, holders, misdated, release_rows
from curate.db.queue.ready import Ready, ready
from curate.worker.datasets import running_datasets, with_pipelines
from curate.worker.fair_share import FairShare
from curate.worker.messages import Messages
from curate.worker.owner import dead_owners

log = logging.getLogger(__name__)

ELSEWHERE = 1  # processes taken to serve a queue that is not served from here: enough to wake them


def expire_rows_of_dead(engine: Engine, dataset: Dataset) -> int:
    """End the leases of processes of this host that are gone; returns the rows freed."""
    owners = dead_owners(_held(engine, dataset))
    if not owners:
        return 0
    with writing(engine) as connection:
        return expire_rows(connection, dataset.id, owners)


def release_rows_of_dead(engine: Engine) -> int:
    """Release what processes of this host held that are gone because they were told to; returns
    the rows freed.
    """
    freed = 0
    for dataset in all_datasets(engine):
        if owners := dead_owners(_held(engine, dataset)):
            with writing(engine) as connection:
                freed += release_rows(connection, dataset.id, owners)
    return freed


def _held(engine: Engine, dataset: Dataset) -> dict[str, float]:
    pairs = with_pipelines([dataset])
    return holders(engine, dataset.id, pairs[0][1]) if pairs else {}


@dataclass(frozen=True)
class _Turn:
    dataset_id: int
    step: StageStep
    partial: bool = False


class Dispatcher:
    """Rings for all datasets. `processes`: how many serve each queue from here."""

    def __init__(
        self,
        engine: Engine,
        messages: Messages,
        processes: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        lease_seconds: float = 60,
    ) -> None:
        self._engine = engine
        self._lease = lease_seconds
        self._bells = messages
        self._processes = processes
        self._clock = clock
        self._rota = FairShare()
        self._far: dict[
            int, dict[str, tuple[float, float]]
        ] = {}  # by dataset and owner, see `_not_renewed`
        self._rests: dict[
            tuple[int, str], float
        ] = {}  # since when rows wait for their batch to fill up

    def dispatch(self) -> int:
        """One round over all datasets; returns how many doorbells were rung."""
        pipelines = dict(running_datasets(self._engine))
        for dataset in pipelines:
            held = _held(self._engine, dataset)
            dead = [*dead_owners(held), *self._not_renewed(dataset.id, held)]
            if dead:
                with writing(self._engine) as connection:
                    expire_rows(connection, dataset.id, dead)
        by_id = {dataset.id: pipeline for dataset, pipeline in pipelines.items()}
        order = self._rota.order(by_id)
        queues = {step.options.queue for pipeline in by_id.values() for step in pipeline.stages}
        return sum(self._top_up(queue, order, by_id) for queue in sorted(queues))

    def _not_renewed(self, dataset_id: int, held: Mapping[str, float]) -> list[str]:
        """Owners whose lease ended far ahead for FAR leases, and always at the same time.

        Who lives renews it every third of a lease: soon after a clock was set back, and also on a
        host whose leases are up to 3 * FAR times as long as those here.
        """
        time, before = self._clock(), self._far.get(dataset_id, {})
        far: dict[
            str, tuple[float, float]
        ] = {}  # when the lease ends, and since when (of the clock) that is so
        for owner in misdated(self._engine, held, self._lease):
            until, since = before.get(owner, (0.0, time))
            far[owner] = held[owner], since if until == held[owner] else time
        self._far[dataset_id] = far
        return [owner for owner, (_, since) in far.items() if time - since >= FAR * self._lease]

    def _top_up(self, queue: str, order: Sequence[int], pipelines: Mapping[int, Pipeline]) -> int:
        ears = self._processes.get(queue, ELSEWHERE)
        turns = [
            list(self._turns(i, ready(self._engine, i, pipelines[i], ears, queue))) for i in order
        ]
        if not any(turns):
            return 0
        missing = max(0, min(ears, 2 * ears - self._bells.count_waiting(queue)))
        chosen = list(itertools.islice(_dealt(turns), missing))
        for turn in chosen:
            self._bells.send(turn.step, turn.dataset_id, turn.partial)
            self._rota.charge(turn.dataset_id, 1)
            if turn.partial:
                self._rests.pop((turn.dataset_id, turn.step.name), None)
        return len(chosen)

    def _turns(self, dataset_id: int, found: Sequence[Ready]) -> Iterator[_Turn]:
        """A turn a batch, deepest stage first."""
        for one in found:
            if one.batches or not one.partial:
                self._rests.pop((dataset_id, one.step.name), None)
            elif self._clock() - self._rests.setdefault(
                (dataset_id, one.step.name), self._clock()
            ) >= (one.step.options.patience):
                yield _Turn(dataset_id, one.step, partial=True)
            yield from [_Turn(dataset_id, one.step)] * one.batches


def _dealt(hands: Sequence[Sequence[_Turn]]) -> Iterator[_Turn]:
    """One of each hand in turn, until all are empty."""
    for row in itertools.zip_longest(*hands):
        yield from (turn for turn in row if turn)
