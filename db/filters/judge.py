"""Judges again the rows that have met filters, and writes those whose verdict changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, null, or_, select, update

from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Level
from curate.db.datasets import Dataset
from curate.db.filters.verdict import clip_verdict, own_verdict
from curate.db.schema import PICKED, clips, rows_of, videos


@dataclass(frozen=True)
class Judge:
    """Applies the filters of a pipeline to the rows of a dataset that stand behind them.

    `names` are the filters that rows may have been dropped by. Left alone are rows that a batch
    holds (they are judged when it is saved), rows that failed, and rows that a stage dropped.
    """

    dataset_id: int
    pipeline: Pipeline
    names: Sequence[str]

    @classmethod
    def of(cls, dataset: Dataset, pipeline: Pipeline) -> Judge:
        """The judge of a dataset that is to have this pipeline."""
        before = {step["filter"] for step in dataset.frozen if "filter" in step}
        before |= set(dataset.refiltering)
        return cls(dataset.id, pipeline, sorted(before | {f.name for f in pipeline.filters}))

    def decided(self, level: Level) -> ColumnElement[bool]:
        """Whether a row is judged: it is going on, or a filter or a pick dropped it."""
        table = rows_of(level)
        dropped = (table.c.status == "dropped") & table.c.reason.in_([*self.names, PICKED])
        return and_(
            table.c.dataset_id + 0 == self.dataset_id,  # + 0: rows are to be found by other means
            table.c.owner.is_(None),
            or_(table.c.status.in_(("kept", "active")), dropped),
        )

    def was(self, level: Level) -> ColumnElement[Any]:
        """The verdict that a decided row has now."""
        table = rows_of(level)
        return case((table.c.status == "dropped", table.c.reason), else_=null())

    def verdict(self, level: Level, dialect: str) -> ColumnElement[Any]:
        """The verdict that a decided row gets, by the stage that it stands before.

        A clip falls with its video whether or not the new verdict on the video is written already.
        """
        stages = self.pipeline.level_stages(level)
        whens = {name: own_verdict(self.pipeline, name, level, dialect) for name in stages}
        own = case(whens, value=rows_of(level).c.stage, else_=null())
        if level == "video":
            return own
        of_video = case(
            (self.decided("video"), self.verdict("video", dialect)),
            (videos.c.status == "dropped", videos.c.reason),
            else_=null(),
        )
        return clip_verdict(self.pipeline, own, clips, of_video)

    def changing(self, level: Level, dialect: str, chosen: ColumnElement[bool]) -> Select[int]:
        """The SELECT of those of the chosen rows whose verdict changes."""
        rows = select(rows_of(level).c.id).where(chosen, self.decided(level))
        return rows.where(self.verdict(level, dialect).is_distinct_from(self.was(level)))

    def apply(
        self, connection: Connection, level: Level, chosen: ColumnElement[bool]
    ) -> tuple[int, int]:
        """Write status and reason of those of the chosen rows whose verdict changes; return how
        many come back and how many are dropped.
        """
        table = rows_of(level)
        verdict = self.verdict(level, connection.dialect.name)
        going_on = case((table.c.stage == DONE, "kept"), else_="active")
        rows = update(table).where(chosen, self.decided(level))
        was_dropped = rows.where(table.c.status == "dropped")
        drop = rows.where(table.c.status != "dropped", verdict.is_not(None)).values(
            status="dropped", reason=verdict
        )
        revive = was_dropped.where(verdict.is_(None)).values(status=going_on, reason=None)
        rename = was_dropped.where(verdict.is_distinct_from(table.c.reason)).values(reason=verdict)
        come_back = connection.execute(revive).rowcount
        connection.execute(rename)
        return come_back, connection.execute(drop).rowcount
