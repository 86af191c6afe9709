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
    """What a server sent about a clip; `request` is a digest of what was asked, with the window
    behind it where it was asked about one.
    """

    clip_id: int
    request: str
    content: str


def add_spending(
    engine: Engine, dataset_id: int, stage: str, spent: Spent, kept: Sequence[KeptAnswer] = ()
) -> None:
    """Add to what a stage of a dataset has cost, and keep answers until they are forgotten."""
    with writing(engine) as connection:
        dialect: Any = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
        key = {"dataset_id": dataset_id, "stage": stage}
        new = dialect.insert(spending).values(**key, **asdict(spent))
        sums = {name: spending.c[name] + new.excluded[name] for name in asdict(spent)}
        keys = list(spending.primary_key)
        connection.execute(new.on_conflict_do_update(index_elements=keys, set_=sums))
        if kept:
            same = {"stage": stage, "created_at": time.time()}
            statement = dialect.insert(answers)
            others = {n: statement.excluded[n] for n in ("content", "created_at")}
            keys = list(answers.primary_key)
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=others),
                [{**asdict(answer), **same} for answer in kept],
            )


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
) -> Mapping[tuple[int, str], str]:
    """The answers to requests about these clips that no batch has saved yet, by clip and request:
    to this one, and to those about windows that begin with it.
    """
    saved = [
        select(func.max(t.c.created_at)).where(t.c.clip_id == answers.c.clip_id).scalar_subquery()
        for t in (captions, rewrites)
    ]
    query = select(answers.c.clip_id, answers.c.request, answers.c.content).where(
        among(answers.c.clip_id),
        answers.c.stage == stage,
        answers.c.request.startswith(request, autoescape=True),
        # one that was saved, but not forgotten because the process was killed, is no answer to
        # whoever asks once more
        *[answers.c.created_at > func.coalesce(time, 0) for time in saved],
    )
    with reading(engine, "AUTOCOMMIT") as connection:
        rows = connection.execute(query, {"ids": list(clip_ids)})
        return {(int(clip), str(asked)): str(content) for clip, asked, content in rows}


def forget_answers(engine: Engine, stage: str, clip_ids: Collection[int]) -> None:
    """Delete the answers about clips, which are saved."""
    gone = delete(answers).where(among(answers.c.clip_id), answers.c.stage == stage)
    with writing(engine) as connection:
        connection.execute(gone, {"ids": list(clip_ids)})
