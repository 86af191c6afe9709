"""What filters say of a row, as SQL: dropped, and by which one, or going on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, literal_column, null, select

from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Level
from curate.db.schema import clips, videos


def status_columns(verdict: ColumnElement[Any], stage: str) -> dict[str, Any]:
    """`status` and `reason`, as SQL, of a row that is put before a stage with this verdict."""
    going_on = "kept" if stage == DONE else "active"
    return {"reason": verdict, "status": case((verdict.is_(None), going_on), else_="dropped")}


def verdict_of(
    pipeline: Pipeline,
    stage: str,
    level: Level,
    dialect: str,
    video_id: ColumnElement[Any] = clips.c.video_id,
) -> ColumnElement[Any]:
    """SQL for the name of the first filter that a row before a stage does not pass, or NULL.

    NULL does not pass. A clip falls with its video (`video_id`: where its id stands), by the same
    name.
    """
    whens: list[tuple[Any, Any]] = []
    for step in pipeline.filters_before(stage, level):
        from curate.db.filters.sql import to_sql  # loads sqlglot

        fails = f"COALESCE(({to_sql(step.where, dialect)}), FALSE) = FALSE"
        whens.append((literal_column(fails), literal(step.name)))
    own = case(*whens, else_=null()) if whens else null()
    if level == "video" or not any(f.level == "video" for f in pipeline.filters):
        return own
    fallen = select(videos.c.reason).where(videos.c.id == video_id, videos.c.status == "dropped")
    return func.coalesce(fallen.correlate_except(videos).scalar_subquery(), own)
