"""Decides in SQL whether a row goes on, or which filter drops it.

A pick by hand goes first: a clip picked to keep passes every filter, one picked to drop passes
none.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func, literal, literal_column, null, select

from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Level
from curate.db.schema import DROP, PICKED, clips, videos


def status_columns(verdict: ColumnElement[Any], stage: str) -> dict[str, Any]:
    """`status` and `reason`, as SQL, of a row that is put before a stage with this verdict."""
    going_on = "kept" if stage == DONE else "active"
    return {"reason": verdict, "status": case((verdict.is_(None), going_on), else_="dropped")}


def verdict_of(
    pipeline: Pipeline, stage: str, level: Level, dialect: str, rows: FromClause = clips
) -> ColumnElement[Any]:
    """SQL for the name of the first filter that a row before a stage does not pass, or NULL.

    NULL does not pass. A clip falls with its video, by the same name, and by PICKED when it was
    picked to drop; `rows` is where its `video_id` and `picked` stand.
    """
    own = own_verdict(pipeline, stage, level, dialect)
    return own if level == "video" else clip_verdict(pipeline, own, rows)


def own_verdict(pipeline: Pipeline, stage: str, level: Level, dialect: str) -> ColumnElement[Any]:
    """`verdict_of` by the filters of the row's level alone."""
    whens: list[tuple[Any, Any]] = []
    for step in pipeline.filters_before(stage, level):
        from curate.db.filters.sql import to_sql  # loads sqlglot

        fails = f"COALESCE(({to_sql(step.where, dialect)}), FALSE) = FALSE"
        whens.append((literal_column(fails), literal(step.name)))
    return case(*whens, else_=null()) if whens else null()


def clip_verdict(
    pipeline: Pipeline,
    own: ColumnElement[Any],
    rows: FromClause = clips,
    video_verdict: ColumnElement[Any] | None = None,
) -> ColumnElement[Any]:
    """The verdict on a clip whose own filters say `own`.

    `video_verdict` is the one on its video, over a row of `videos`; if left out, that row's reason.
    """
    if any(step.level == "video" for step in pipeline.filters):
        of_clip = videos.c.id == rows.c.video_id
        fallen = select(videos.c.reason).where(of_clip, videos.c.status == "dropped")
        if video_verdict is not None:
            fallen = select(video_verdict).where(of_clip)
        own = func.coalesce(fallen.correlate_except(videos).scalar_subquery(), own)
    picked = rows.c.picked
    return case((picked.is_(None), own), (picked == DROP, PICKED), else_=null())
