"""Inserts the clips that a stage found in a video; deletes those of an earlier run or source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, case, delete, insert, null, select, update

from curate.configs.pipeline import Pipeline
from curate.configs.row_errors import SourceChanging
from curate.configs.texts import input_cell
from curate.db.expressions import among_these
from curate.db.filters.verdict import status_columns
from curate.db.queue.leases import FREE_COLUMNS, ClaimRequest
from curate.db.save.placing import write_and_place
from curate.db.schema import DROP, PICKED, clips, datasets, videos


class FoundClip(Protocol):
    """A clip as a stage reports it (curate.tasks.stage.NewClip)."""

    @property
    def index(self) -> int: ...
    @property
    def start_pts(self) -> int: ...
    @property
    def end_pts(self) -> int: ...
    @property
    def scores(self) -> Mapping[str, Any]: ...


def replace_clips(
    connection: Connection,
    video: Mapping[str, Any],
    found: Sequence[FoundClip],
    pipeline: Pipeline,
) -> None:
    """Replace the clips of a video by those found, which then wait for the first clip stage."""
    if video["num_clips"] is not None:  # it was split before
        forget_clips(connection, video["dataset_id"], [video["id"]], pipeline)
    counted = update(videos).where(videos.c.id == video["id"]).values(num_clips=len(found))
    connection.execute(counted)
    if not found:
        return
    entry = pipeline.entry["clip"]
    common = {
        "text": input_cell(video["extra"], "text") if video["extra"] else None,
        "dataset_id": video["dataset_id"],
        "video_id": video["id"],
        "stage": entry,
        "status": "active",
    }
    rows = [
        {**common, **clip.scores}
        | {"clip_index": clip.index, "start_pts": clip.start_pts, "end_pts": clip.end_pts}
        for clip in found
    ]
    made = connection.execute(insert(clips).returning(clips.c.id), rows).scalars()
    new: dict[int, Mapping[str, Any]] = {int(i): {} for i in made}
    write_and_place(connection, "clip", {}, new, pipeline, (entry, None))


def begin_again(
    connection: Connection,
    request: ClaimRequest,
    replaced: Mapping[int, tuple[str, str]],
    pipeline: Pipeline,
) -> None:
    """Restart videos whose source was replaced, given by id with the old and new fingerprint.

    One that another process has restarted already is left alone. One that was replaced more often
    than `request.max_attempts` fails: it is probably still being written.
    """
    for video_id, (before, now) in sorted(replaced.items()):
        stale = (videos.c.id == video_id, videos.c.fingerprint == before)
        query = select(videos.c.path, videos.c.times_replaced).where(*stale).with_for_update()
        video = connection.execute(query).first()
        if video is None:
            continue
        times = (video.times_replaced or 0) + 1
        values: dict[str, Any] = {"fingerprint": now, "times_replaced": times}
        if times > request.max_attempts:
            error = SourceChanging(path=video.path, times=times)
            values |= {"status": "failed", "reason": type(error).__name__, "error": str(error)}
        restart_video(connection, request.dataset_id, video_id, pipeline, values)


def restart_video(
    connection: Connection,
    dataset_id: int,
    video_id: int,
    pipeline: Pipeline,
    values: Mapping[str, Any],
) -> None:
    """Delete the clips of a video, and let it wait for the first stage, with these values.

    What stages measured of it becomes NULL: it was of another file.
    """
    forget_clips(connection, dataset_id, [video_id], pipeline)
    steps = [step for step in pipeline.stages if step.level == "video"]
    again: dict[str, Any] = {name: None for step in steps for name in step.columns}
    again |= {"stage": pipeline.entry["video"], "status": "active", "return_to": None}
    again |= {"num_clips": None, "reason": None, "error": None, **FREE_COLUMNS, **values}
    connection.execute(update(videos).where(videos.c.id == video_id).values(**again))


def forget_clips(
    connection: Connection, dataset_id: int, video_ids: Sequence[int], pipeline: Pipeline
) -> None:
    """Delete the clips of videos. Clips that were duplicates of these are compared again."""
    # locked in order, as a renewal of their leases does
    deleted = select(clips.c.id).where(clips.c.video_id.in_(video_ids)).order_by(clips.c.id)
    deleted = deleted.with_for_update()
    ids = [int(i) for i in connection.execute(deleted).scalars()]
    if not ids:
        return
    # a new epoch: what ordered stages remember of this dataset is no longer true
    newer = update(datasets).where(datasets.c.id == dataset_id).values(epoch=datasets.c.epoch + 1)
    connection.execute(newer)
    connection.execute(delete(clips).where(among_these(clips.c.id, ids)))
    # last stage first, so that a duplicate by two stages ends up at the earlier one
    for step in reversed(pipeline.stages):
        if step.order is None or step.order.duplicate_of is None:
            continue
        orphans = (
            clips.c.dataset_id == dataset_id,
            among_these(clips.c[step.order.duplicate_of], ids),
            clips.c.status != "failed",
        )
        verdict = case((clips.c.picked == DROP, PICKED), else_=null())
        waiting = {"stage": step.name, "return_to": None, **status_columns(verdict, step.name)}
        unmeasured = dict.fromkeys(step.spec.columns)
        connection.execute(
            update(clips).where(*orphans).values(**waiting, **FREE_COLUMNS, **unmeasured)
        )
