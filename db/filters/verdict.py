"""What filters say of a row, as SQL: dropped, and by which one, or going on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, literal_column, null, select

from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Level
from curate.db.filters import check as filters
from curate.db.schema import clips, videos


def judged(verdict: ColumnElement[Any], place: str) -> dict[str, Any]:
    """Status and reason of a row at a place, as SQL."""
    return {"reason": verdict, "status": status_of(verdict, "kept" if place == DONE else "active")}


def verdict_of(
    pipeline: Pipeline,
    place: str,
    level: Level,
    dialect: str,
    video_id: ColumnElement[Any] = clips.c.video_id,
) -> ColumnElement[Any]:
    """SQL for the name of the first filter that a row before stage `place` does not pass, or NULL.

    NULL does not pass. A clip falls with its video (`video_id`: where its id stands), by the same
    name.
    """
    whens: list[tuple[Any, Any]] = [
        (
            literal_column(f"COALESCE(({filters.to_sql(f.where, dialect)}), FALSE) = FALSE"),
            literal(f.name),
        )
        for f in pipeline.filters_before(place, level)
    ]
    own = case(*whens, else_=null()) if whens else null()
    if level == "video" or not any(f.level == "video" for f in pipeline.filters):
        return own
    fallen = select(videos.c.reason).where(videos.c.id == video_id, videos.c.status == "dropped")
    return func.coalesce(fallen.correlate_except(videos).scalar_subquery(), own)


def status_of(verdict: ColumnElement[Any], going_on: str) -> ColumnElement[Any]:
    """SQL for the status that goes with a verdict."""
    return case((verdict.is_(None), going_on), else_="dropped")
