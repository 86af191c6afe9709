"""What the requests of stages have cost, and answers that are paid for but not saved yet.

An answer is kept in the transaction that counts it: when the process is killed before its batch is
saved, the next one takes the answer from here instead of asking again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from sqlalchemy import Engine, delete, func, select, update

from curate.configs.schema import PAUSED, RUNNING
from curate.db.engine import reading, writing
from curate.db.expressions import among
from curate.db.schema import answers, captions, datasets, rewrites, spending


@dataclass(frozen=True)
class Spent:
    """What requests have cost: how many were answered, tokens read and written, and money."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost + other.cost,
        )


@dataclass(frozen=True)
class KeptAnswer:
    """What a server sent about a clip, with a digest of what was asked."""

    clip_id: int
    request: str
    content: str


def add_spending(
    engine: Engine, dataset_id: int, stage: str, spent: Spent, answer: KeptAnswer | None = None
) -> None:
    """Add to what a stage of a dataset has cost, and keep an answer until it is forgotten."""
    with writing(engine) as connection:
        dialect: Any = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
        key = {"dataset_id": dataset_id, "stage": stage}
        new = dialect.insert(spending).values(**key, **asdict(spent))
        sums = {name: spending.c[name] + new.excluded[name] for name in asdict(spent)}
        keys = list(spending.primary_key)
        connection.execute(new.on_conflict_do_update(index_elements=keys, set_=sums))
        if answer:
            row = {**asdict(answer), "stage": stage, "created_at": time.time()}
            kept = dialect.insert(answers).values(row)
            others = {n: kept.excluded[n] for n in ("request", "content", "created_at")}
            keys = list(answers.primary_key)
            connection.execute(kept.on_conflict_do_update(index_elements=keys, set_=others))


def spent_by_stage(engine: Engine, dataset_id: int) -> dict[str, Spent]:
    """What the requests of each stage of a dataset have cost."""
    columns = [spending.c[name] for name in ("stage", *asdict(Spent()))]
    query = select(*columns).where(spending.c.dataset_id == dataset_id)
    with reading(engine, "AUTOCOMMIT") as connection:
        return {row[0]: Spent(*row[1:]) for row in connection.execute(query.order_by("stage"))}


def pause_at_budget(
    engine: Engine, dataset_id: int, stage: str, most: float, pipeline: str
) -> float | None:
    """Pause a dataset when a stage has spent `most` or more; returns what it has spent then.

    `pipeline`: the frozen one that says `most`. Where the dataset has another one by now, and may
    have been given more, it is not paused.
    """
    of_stage = (spending.c.dataset_id == dataset_id, spending.c.stage == stage)
    with reading(engine, "AUTOCOMMIT") as connection:
        cost = connection.execute(select(spending.c.cost).where(*of_stage)).scalar()
    if cost is None or cost < most:
        return None
    with writing(engine) as connection:
        running = (datasets.c.id == dataset_id, datasets.c.state == RUNNING)
        same = datasets.c.pipeline == pipeline
        connection.execute(update(datasets).where(*running, same).values(state=PAUSED))
    return float(cost)


def kept_answers(
    engine: Engine, stage: str, request: str, clip_ids: Sequence[int]
) -> Mapping[int, str]:
    """The answers to a request about these clips that no batch has saved yet, by clip."""
    saved = [
        select(func.max(t.c.created_at)).where(t.c.clip_id == answers.c.clip_id).scalar_subquery()
        for t in (captions, rewrites)
    ]
    query = select(answers.c.clip_id, answers.c.content).where(
        among(answers.c.clip_id),
        answers.c.stage == stage,
        answers.c.request == request,
        # one that was saved, but not forgotten because the process was killed, is no answer to
        # whoever asks once more
        *[answers.c.created_at > func.coalesce(time, 0) for time in saved],
    )
    with reading(engine, "AUTOCOMMIT") as connection:
        rows = connection.execute(query, {"ids": list(clip_ids)})
        return {int(clip): str(content) for clip, content in rows}


def forget_answers(engine: Engine, stage: str, clip_ids: Collection[int]) -> None:
    """Delete the answers about clips, which are saved."""
    gone = delete(answers).where(among(answers.c.clip_id), answers.c.stage == stage)
    with writing(engine) as connection:
        connection.execute(gone, {"ids": list(clip_ids)})
