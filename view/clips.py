"""Lists of clips, a page at a time, and what they can be chosen and sorted by.

A page begins behind the last clip of the page before, whatever was written meanwhile: no clip comes
twice, and no clip that stays in the list is left out. In the order of videos, the claim index gives
the clips of each stage and status; in the order of a score, all clips are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Column
from curate.configs.settings import without_passwords
from curate.db.engine import reading
from curate.db.expressions import among
from curate.db.queue.leases import FREE, stages_met
from curate.db.reports.counts import count_rows
from curate.db.reports.distribution import known_columns, measures
from curate.db.schema import captions, clips, stands, videos
from curate.view.security import Page, Refusal
from curate.view.state import ShownDataset

STATUSES = ("kept", "dropped", "failed", "active")
LIMIT = 60  # clips of a page
FEW = 10_000  # up to so many matching clips are found by an index and sorted
TEXT_SHOWN = 300  # letters of a caption in a list
SPAN = ("start_seconds", "end_seconds")


@dataclass(frozen=True)
class Wanted:
    """Which clips a list has, and in which order: by video, or by a score, NULL last."""

    status: str = ""
    reason: str = ""
    text: str = ""
    sort: str = ""
    descending: bool = False


# where a list goes on: (video, clip index), or (score, id) of the last clip
Place = tuple[float | None, int]


def sortable(pipeline: Pipeline) -> dict[str, Column]:
    """The columns that a list can be sorted by, by name: measures, and where a clip is in its
    video.
    """
    known = known_columns(pipeline, "clip")
    return measures(pipeline, "clip") | {name: known[name] for name in SPAN}


def list_clips(
    shown: ShownDataset, wanted: Wanted, after: Place | None = None, limit: int = LIMIT
) -> tuple[list[int], Place | None]:
    """The ids of the clips behind `after`, and the `after` of the next page, if there is one."""
    with reading(shown.engine, "REPEATABLE READ") as connection:
        by = _by_score if wanted.sort else _by_video
        found = by(connection, shown.dataset.id, wanted, after, limit + 1)
    ids = [clip for clip, _ in found[:limit]]
    return ids, found[limit - 1][1] if len(found) > limit else None


def _by_video(
    connection: Connection, dataset_id: int, wanted: Wanted, after: Place | None, limit: int
) -> list[tuple[int, Place]]:
    rows = [
        (int(video), int(index), int(clip))
        for query in _stretches(connection, dataset_id, wanted, after, limit)
        for clip, video, index in connection.execute(query)
    ]
    return [(clip, (video, index)) for video, index, clip in sorted(rows)[:limit]]


def _stretches(
    connection: Connection, dataset_id: int, wanted: Wanted, after: Place | None, limit: int
) -> Iterator[Select[Any]]:
    """A query for each stretch of the claim index, in which the clips of one stage and status that
    have no lease are in the order of the list. The few that are leased are sorted.
    """
    order = (clips.c.video_id, clips.c.clip_index)
    chosen = [clips.c.dataset_id == dataset_id, *_conditions(dataset_id, wanted)]
    if after:
        chosen.append(tuple_(*order) > tuple_(literal(after[0]), literal(after[1])))
    for stage in stages_met(connection, clips, dataset_id):
        for status in [wanted.status] if wanted.status else STATUSES:
            if status == "kept" and stage != DONE:
                continue
            at = (clips.c.stage == stage, clips.c.status == status)
            query = select(clips.c.id, *order).where(*chosen, *at).order_by(*order).limit(limit)
            if wanted.reason:
                # in literals, for the index of ended rows
                ended = (stands(clips, "dropped", "failed"), clips.c.reason == wanted.reason)
                if _are_few(connection, clips.c.dataset_id == dataset_id, *at, *ended):
                    yield query.where(*ended)
                    continue
            yield query.where(clips.c.lease_until == FREE)
            yield query.where(clips.c.lease_until > FREE)


def _are_few(connection: Connection, *conditions: ColumnElement[bool]) -> bool:
    """Whether so few clips fit that it is best to find them all by an index."""
    some = select(literal(1)).select_from(clips).where(*conditions).limit(FEW + 1)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one() <= FEW


def _by_score(
    connection: Connection, dataset_id: int, wanted: Wanted, after: Place | None, limit: int
) -> list[tuple[int, Place]]:
    score: ColumnElement[Any] = column(wanted.sort)
    key = tuple_(score, clips.c.id)
    chosen = [clips.c.dataset_id == dataset_id, *_conditions(dataset_id, wanted)]
    if not _are_few(connection, clips.c.dataset_id == dataset_id):
        # reads the table in its own order: four times as fast as by an index of all rows
        chosen[0] = clips.c.dataset_id + 0 == dataset_id
    if wanted.status:
        chosen.append(clips.c.status == wanted.status)
    found: list[tuple[int, Place]] = []
    if after is None or after[0] is not None:
        measured: list[ColumnElement[bool]] = [score.is_not(None)]
        if after:
            last = tuple_(literal(after[0]), literal(after[1]))
            measured.append(key < last if wanted.descending else key > last)
        order = [term.desc() if wanted.descending else term for term in (score, clips.c.id)]
        query = select(clips.c.id, score).where(*chosen, *measured).order_by(*order).limit(limit)
        found = [(int(i), (value, int(i))) for i, value in connection.execute(query)]
    if len(found) < limit:
        behind = after[1] if after and after[0] is None else 0
        rest = select(clips.c.id).where(*chosen, score.is_(None), clips.c.id > behind)
        rest = rest.order_by(clips.c.id).limit(limit - len(found))
        found += [(int(i), (None, int(i))) for i in connection.execute(rest).scalars()]
    return found


def _conditions(dataset_id: int, wanted: Wanted) -> list[ColumnElement[bool]]:
    """What is asked of a clip beside its status."""
    found: list[ColumnElement[bool]] = []
    if wanted.reason:
        found.append(clips.c.reason == wanted.reason)
    if wanted.text:
        # asked of each clip that comes up: IN would read the captions of all datasets
        written = exists().where(
            captions.c.clip_id == clips.c.id,
            captions.c.window_start_pts.is_(None),
            captions.c.text_raw.icontains(wanted.text, autoescape=True),
        )
        named = videos.c.relpath.icontains(wanted.text, autoescape=True)
        found.append(
            or_(
                clips.c.text.icontains(wanted.text, autoescape=True),
                written,
                clips.c.video_id.in_(
                    select(videos.c.id).where(and_(videos.c.dataset_id == dataset_id, named))
                ),
            )
        )
    return found


def cards(shown: ShownDataset, ids: Sequence[int], score: str = "") -> list[dict[str, Any]]:
    """What a list shows of clips, in the order of the ids; `score`: a column that it shows too.

    Clips that are gone are left out, and so are secrets in URLs.
    """
    names = ("id", "video_id", "clip_index", "status", "stage", "reason", "error", "seconds",
             "start_seconds", "end_seconds", "duplicate_of", "picked")  # fmt: skip
    columns = [clips.c[name] for name in names]
    value: ColumnElement[Any] = column(score) if score else literal(None)
    query = (
        select(
            *columns,
            func.substr(clips.c.text, 1, TEXT_SHOWN).label("text"),
            videos.c.relpath,
        )
        .join(videos, videos.c.id == clips.c.video_id)
        .where(among(clips.c.id))
    )
    scores = select(clips.c.id, value.label("score")).where(among(clips.c.id))
    with reading(shown.engine, "REPEATABLE READ") as connection:
        rows = connection.execute(query, {"ids": list(ids)}).mappings()
        found = {int(row["id"]): dict(row) for row in rows}
        for card in found.values():
            card["relpath"] = without_passwords(card["relpath"])
            card["error"] = card["error"] and without_passwords(card["error"])
        for clip, number in connection.execute(scores, {"ids": list(ids)}):
            found[int(clip)]["score"] = number
    return [found[clip] for clip in ids if clip in found]


def choices(shown: ShownDataset) -> dict[str, Any]:
    """What a list can be chosen by, with counts of clips: statuses, and the reasons of those that
    are dropped or failed; and the columns that it can be sorted by.
    """
    with reading(shown.engine, "REPEATABLE READ") as connection:
        counts = [c for c in count_rows(connection, shown.dataset.id) if c.level == "clip"]
    reasons: dict[tuple[str, str], int] = {}
    for count in counts:
        if count.reason is not None:
            key = (count.status, count.reason)
            reasons[key] = reasons.get(key, 0) + count.rows
    return {
        "statuses": {
            status: sum(c.rows for c in counts if c.status == status) for status in STATUSES
        },
        "reasons": [
            {"status": status, "reason": reason, "clips": number}
            for (status, reason), number in sorted(reasons.items(), key=lambda item: -item[1])
        ],
        "columns": {
            name: {"doc": found.doc, "better": found.better}
            for name, found in sorted(sortable(shown.pipeline).items())
        },
    }


class List(Page):
    """/api/clips"""

    async def get(self) -> None:
        """A page of clips, and the argument `after` that gives the next one."""
        shown = await self.shown()
        wanted = Wanted(
            self.choice("status", STATUSES),
            self.text("reason", longest=200),
            self.text("text", longest=200),
            self.choice("sort", sortable(shown.pipeline)),
            self.choice("order", ("asc", "desc"), "asc") == "desc",
        )
        after = self._place(bool(wanted.sort))
        limit = self.integer("limit", LIMIT, 1, 500)

        def read() -> Mapping[str, Any]:
            ids, place = list_clips(shown, wanted, after, limit)
            more = json.dumps(place) if place else None
            return {"clips": cards(shown, ids, wanted.sort), "after": more}

        by_index = not (wanted.text or wanted.sort)
        pool = self.pools.quick if by_index else self.pools.patient
        self.send_json(await self.work_in(pool, read))

    def _place(self, by_score: bool) -> Place | None:
        """The argument `after`, as a page before gave it."""
        text = self.text("after", longest=100)
        if not text:
            return None
        try:
            first, second = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            first = second = None
        numbers = (int, float) if by_score else (int,)
        known = type(first) in numbers or (by_score and first is None)
        if not known or type(second) is not int or not 0 <= second < 2**63 or first != first:
            raise Refusal(400, "after must be the value that the page before gave")
        if first is not None and not -(2**63) <= first < 2**63 and type(first) is int:
            raise Refusal(400, "after must be the value that the page before gave")
        return first, second


class Choices(Page):
    """/api/clips/choices"""

    async def get(self) -> None:
        """What a list can be chosen and sorted by."""
        self.send_json(await self.work(choices, await self.shown()))


ROUTES = [(r"/api/clips", List), (r"/api/clips/choices", Choices)]
