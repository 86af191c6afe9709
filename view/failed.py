"""What failed: videos and clips, why, what to do, and the command that tries again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, literal, null, select

from curate.configs.schema import LEVELS, Level
from curate.configs.settings import without_passwords
from curate.db.engine import reading
from curate.db.reports.failures import NO_CLASS, failures, retry_words
from curate.db.schema import clips, rows_of, stands, videos
from curate.view.security import Page
from curate.view.state import Home, ShownDataset

LIMIT = 100  # rows of a page


def kinds(home: Home, shown: ShownDataset) -> list[dict[str, Any]]:
    """Each kind of failure, the most frequent first: how many rows, the message of one of them with
    what to do, and the command that tries again.
    """
    name = shown.dataset.name
    return [
        {
            "level": f.level,
            "stage": f.stage,
            "error": f.error,
            "rows": f.rows,
            "message": home.advise(f.message, name),
            "example": without_passwords(str(f.path)),
            "retry": home.command(*retry_words(name, f.stage, f.error)),
        }
        for f in failures(shown.engine, shown.dataset.id)
    ]


def rows(
    home: Home, shown: ShownDataset, level: Level, kind: tuple[str, str], after: int
) -> list[dict[str, Any]]:
    """At most LIMIT rows of one kind, a stage and an error, with ids above `after`, by id."""
    table = rows_of(level)
    span = [clips.c.clip_index, clips.c.start_seconds, clips.c.end_seconds]
    query: Select[Any] = select(
        table.c.id,
        videos.c.relpath,
        func.coalesce(table.c.error, "").label("message"),
        *(span if level == "clip" else [null().label(c.name) for c in span]),
        (clips.c.video_id if level == "clip" else literal(None)).label("video_id"),
    )
    if level == "clip":
        query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
    stage, error = kind
    query = query.where(
        table.c.dataset_id == shown.dataset.id,
        table.c.stage == stage,
        stands(table, "dropped", "failed"),  # the index of ended rows
        table.c.status == "failed",
        func.coalesce(table.c.reason, NO_CLASS) == error,
        table.c.id > after,
    )
    with reading(shown.engine) as connection:
        found = connection.execute(query.order_by(table.c.id).limit(LIMIT)).mappings()
        return [
            {
                **row,
                "relpath": without_passwords(row["relpath"]),
                "message": home.advise(row["message"], shown.dataset.name),
            }
            for row in found
        ]


class Failed(Page):
    """/api/failed"""

    async def get(self) -> None:
        """The kinds of failures."""
        shown = await self.shown()
        self.send_json({"kinds": await self.work(kinds, self.home, shown)})


class FailedRows(Page):
    """/api/failed/rows"""

    async def get(self) -> None:
        """Rows of the kind that `level`, `stage` and `error` name, behind the id `after`."""
        level: Level = "video" if self.choice("level", LEVELS, "clip") == "video" else "clip"
        kind = (self.text("stage", longest=200), self.text("error", longest=200))
        after = self.integer("after", 0)
        shown = await self.shown()
        found = await self.work(rows, self.home, shown, level, kind, after)
        more = found[-1]["id"] if len(found) == LIMIT else None
        self.send_json({"rows": found, "after": more})


ROUTES = [(r"/api/failed", Failed), (r"/api/failed/rows", FailedRows)]
