"""Rows that wait for a stage and are chosen by their ids: for outcomes that come from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, Engine, select

from curate.configs.schema import Column
from curate.db import side_tables
from curate.db.engine import now, reading, writing
from curate.db.expressions import among, among_these
from curate.db.filters.check import condition_of
from curate.db.filters.columns import columns_of
from curate.db.neighbours import Neighbours, neighbours_of, with_neighbours
from curate.db.queue.claim import claimable_statement
from curate.db.queue.leases import (
    FREE,
    Claim,
    ClaimRequest,
    at_stage,
    load_rows,
    update_in_order,
)
from curate.db.schema import clips

CHUNK = 64  # clips: their pictures are in memory


def waiting_ids(
    engine: Engine, dataset_id: int, stage: str, where: str, columns: Mapping[str, Column]
) -> list[int]:
    """The ids of clips that wait for a stage and that no batch holds, in order, for which the
    predicate `where` is true (empty: of all). Raises FilterError.
    """
    condition = condition_of(where, columns_of(clips) | dict(columns), engine.dialect.name)
    free = (*at_stage(clips, dataset_id, stage), clips.c.lease_until == FREE)
    with reading(engine) as connection:
        query = select(clips.c.id).where(*free, condition).order_by(clips.c.id)
        return [int(row[0]) for row in connection.execute(query)]


def look_at(engine: Engine, request: ClaimRequest, ids: Sequence[int]) -> Iterator[Claim]:
    """Clips that still wait and are free, CHUNK at a time; none is leased."""
    for start in range(0, len(ids), CHUNK):
        with reading(engine) as connection:
            found = _as_claim(connection, request, ids[start : start + CHUNK], lease_until=FREE)
        yield found  # the connection is free while pictures are read


def lease_these(engine: Engine, request: ClaimRequest, ids: Collection[int]) -> Claim:
    """Lease those of the clips that wait for the stage and that no living batch holds. Raises
    ServiceError, also where the dataset was deleted.
    """
    at = {"of_dataset": request.dataset_id, "of_stage": request.step.name}
    with writing(engine) as connection:
        # locks the dataset as every claim does, so that who writes many of its rows meets none
        time = connection.execute(claimable_statement("clip", False), at).one().time
        free = (*at_stage(clips, request.dataset_id, request.step.name), clips.c.lease_until < time)
        chosen = update_in_order(clips, *free, among_these(clips.c.id, list(ids)))
        until = time + request.lease_seconds
        connection.execute(
            chosen.values(owner=request.owner, lease_until=until, claim_size=len(ids))
        )
        return _as_claim(connection, request, ids, owner=request.owner)


def _as_claim(
    connection: Connection, request: ClaimRequest, ids: Collection[int], **having: object
) -> Claim:
    """Those of the clips that are at the stage and have these values, with what belongs to them."""
    at = at_stage(clips, request.dataset_id, request.step.name)
    have = [clips.c[name] == value for name, value in having.items()]
    query = select(clips.c.id).where(*at, *have, among(clips.c.id)).order_by(clips.c.id)
    found = [int(i) for i in connection.execute(query, {"ids": list(ids)}).scalars()]
    rows = load_rows(connection, "clip", found, request.pipeline)
    rows.sort(key=lambda row: int(row["id"]))
    video_ids = sorted({row["video_id"] for row in rows})
    videos = load_rows(connection, "video", video_ids, request.pipeline)
    beside: Neighbours = {}
    if request.neighbours:
        beside = neighbours_of(connection, rows, request.neighbours)
        found = with_neighbours(found, beside)
    tables = side_tables.read(connection, request.reads, found) if request.reads else {}
    by_id = {row["id"]: row for row in videos}
    return Claim(request, rows, by_id, now(connection), tables, neighbours=beside)
