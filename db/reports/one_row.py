"""All that is known of one clip or video."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from sqlalchemy import Engine, func, null, select, text

from curate.configs.pipeline import Pipeline
from curate.configs.schema import Level
from curate.db import side_tables
from curate.db.engine import reading
from curate.db.home import home_of, shown_path
from curate.db.schema import captions, clips, datasets, option_scores, rewrites, rows_of, videos

MOST_COPIES = 20  # of a clip, the nearest first


def dataset_of(engine: Engine, level: Level, row_id: int) -> str | None:
    """The name of the dataset that a row belongs to; None when there is no such row."""
    table = rows_of(level)
    query = select(datasets.c.name).join(table, table.c.dataset_id == datasets.c.id)
    with reading(engine, "AUTOCOMMIT") as connection:
        name: str | None = connection.execute(query.where(table.c.id == row_id)).scalar()
        return name


def row_values(engine: Engine, dataset_id: int, level: Level, row_id: int) -> dict[str, Any] | None:
    """One row of a dataset by column, without what is NULL; None when there is no such row.

    A clip comes with its video's path as `source`.
    """
    table = rows_of(level).name
    # SELECT *: stages add score columns that the tables of this program do not name
    query = text(f"SELECT * FROM {table} WHERE id = :id AND dataset_id = :dataset")  # noqa: S608  one of two names
    with reading(engine) as connection:
        selected = connection.execute(query, {"id": row_id, "dataset": dataset_id})
        row = selected.mappings().one_or_none()
        if row is None:
            return None
        values = {name: value for name, value in row.items() if value is not None}
        if "path" in values:
            values["path"] = shown_path(values["path"], home_of(engine.dialect))
        if level == "clip":
            source = select(videos.c.path).where(videos.c.id == row["video_id"])
            values["source"] = connection.execute(source).scalar_one()
    return values


def texts_of(engine: Engine, clip_id: int) -> dict[str, list[Mapping[str, Any]]]:
    """The captions of a clip, what was written of them, and its scores by option, the best one
    first; by table.

    `window_seconds` of a caption tells from when to when in the clip its window lasts; None: it is
    about the clip.
    """
    names = (captions.name, rewrites.name, option_scores.name)
    with reading(engine) as connection:
        tables = side_tables.read(connection, names, [clip_id])
        clock = (clips.c.start_pts, videos.c.time_base_num, videos.c.time_base_den)
        query = select(*clock).join_from(clips, videos, clips.c.video_id == videos.c.id)
        found = connection.execute(query.where(clips.c.id == clip_id)).one_or_none()
    start, *time_base = found or (0, 1, 1)
    second = Fraction(*(number or 1 for number in time_base[::-1]))
    rows = {name: list(tables[name].get(clip_id, ())) for name in names}
    rows[captions.name] = [
        {**row, "window_seconds": _window_seconds(row, start, second)}
        for row in rows[captions.name]
    ]
    rows[option_scores.name].sort(key=lambda row: -row["score"])
    return rows


def _window_seconds(
    caption: Mapping[str, Any], start: int, second: Fraction
) -> tuple[float, float] | None:
    stamps = caption["window_start_pts"], caption["window_end_pts"]
    if None in stamps:
        return None
    first, end = (float((stamp - start) / second) for stamp in stamps)
    return first, end


def duplicates(engine: Engine, pipeline: Pipeline, clip_id: int) -> list[dict[str, Any]]:
    """The original and the copies of a clip, by each stage that compares clips.

    `relation` says what the other clip is: the `original` of this one, or a `copy`; at most
    MOST_COPIES copies a stage. `distance` is None where the stage measures none.
    """
    related: list[dict[str, Any]] = []
    named = ((s.name, s.order.duplicate_of) for s in pipeline.stages if s.order)
    with reading(engine) as connection:
        for stage, column in named:
            if not column:
                continue
            points_to = clips.c[column]
            measured = clips.c.get(column.removesuffix("of") + "distance")
            distance = null() if measured is None else measured
            span = (clips.c.start_seconds, clips.c.end_seconds)
            columns = (clips.c.id, clips.c.status, clips.c.reason, *span)
            query = select(distance.label("distance"), *columns, videos.c.path.label("source"))
            query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
            original = select(points_to).where(clips.c.id == clip_id).scalar_subquery()
            own = select(distance).where(clips.c.id == clip_id)
            for row in connection.execute(query.where(clips.c.id == original)).mappings():
                own_distance = {"distance": connection.execute(own).scalar_one()}
                related.append({"stage": stage, "relation": "original", **row, **own_distance})
            nearest = [] if measured is None else [measured]  # Postgres orders by no NULL
            copies = query.where(points_to == clip_id).order_by(*nearest, clips.c.id)
            for row in connection.execute(copies.limit(MOST_COPIES)).mappings():
                related.append({"stage": stage, "relation": "copy", **row})
    return related


def clips_of(engine: Engine, video_id: int) -> list[dict[str, Any]]:
    """How many clips of a video have each stage, status and reason."""
    position = (clips.c.stage, clips.c.status, clips.c.reason)
    query = select(*position, func.count().label("clips")).where(clips.c.video_id == video_id)
    with reading(engine, "AUTOCOMMIT") as connection:
        rows = connection.execute(query.group_by(*position).order_by(*position)).mappings()
        return [dict(row) for row in rows]
