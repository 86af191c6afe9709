"""How far the batches at work are, and what that tells of the time left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from curate.db.schema import clips, stands, videos


@dataclass(frozen=True)
class BatchAtWork:
    """A batch that has been at work for a while, as its process tells.

    `path` is that of the row it is at; `frames` of the row are done, of `of_frames`, in
    `row_seconds`. `duration` is the length of the row's video or clip in seconds. None: not known.
    `media_done` is the length of the rows of the batch before it.
    """

    owner: str
    dataset_id: int
    stage: str
    rows: int
    seconds: float  # since the batch began
    path: str = ""
    frames: int = 0
    of_frames: int | None = None
    duration: float | None = None
    row_seconds: float = 0.0  # since the row began
    media_done: float = 0.0

    @property
    def share(self) -> float | None:
        """The share of the row that is done, 0 to 1."""
        return min(1.0, self.frames / self.of_frames) if self.frames and self.of_frames else None

    @property
    def frame_rate(self) -> float | None:
        """Frames a second."""
        return self.frames / self.row_seconds if self.frames and self.row_seconds else None

    @property
    def speed(self) -> float | None:
        """Seconds of video that are done in a second."""
        if self.share is None or not self.duration or not self.row_seconds:
            return None
        return self.share * self.duration / self.row_seconds

    @property
    def media(self) -> float | None:
        """Seconds of video that the batch has done."""
        if self.share is None or not self.duration:
            return None
        return self.media_done + self.share * self.duration

    @property
    def eta(self) -> float | None:
        """Seconds until the row is done, if it goes on like that."""
        if not self.frame_rate or not self.of_frames:
            return None
        return max(0, self.of_frames - self.frames) / self.frame_rate


def media_left(
    connection: Connection, dataset_id: int, stages: Collection[str]
) -> dict[str, float]:
    """The seconds of video in the rows that are not through with each of the stages; a row of
    unknown length counts as the average of the others.
    """
    left = {}
    for table, length in ((videos, videos.c.duration), (clips, clips.c.seconds)):
        sums = select(table.c.stage, func.count(), func.count(length), func.sum(length))
        waiting = sums.where(
            table.c.dataset_id == dataset_id, table.c.stage.in_(stages), stands(table, "active")
        )
        for stage, rows, known, total in connection.execute(waiting.group_by(table.c.stage)):
            if known:
                left[stage] = total * rows / known
    return left


def eta_by_media(left: float, at_work: Iterable[BatchAtWork]) -> float | None:
    """Seconds until a stage is through with `left` seconds of video, at the speed of the batches at
    work; None when none of them tells its speed.
    """
    telling = [batch for batch in at_work if batch.media and batch.seconds]
    if not telling:
        return None
    speed = sum((batch.media or 0.0) / batch.seconds for batch in telling)
    done = sum(batch.media or 0.0 for batch in telling)
    return max((left - done) / speed, *(batch.eta or 0.0 for batch in telling))


def etas(left: Mapping[str, float], at_work: Iterable[BatchAtWork]) -> dict[str, float]:
    """`eta_by_media` of each stage that it can tell."""
    batches = list(at_work)
    told = {
        stage: eta_by_media(seconds, [b for b in batches if b.stage == stage])
        for stage, seconds in left.items()
    }
    return {stage: eta for stage, eta in told.items() if eta is not None}
