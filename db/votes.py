"""Votes of people on captions: which of two captioners described a clip better."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, delete, func, insert, select

from curate.db.engine import reading, writing
from curate.db.expressions import among
from curate.db.schema import caption_votes, captions, clips

Choice = Literal["left", "right", "equal", "neither"]
_Z = 1.959964  # of a normal distribution, 95 % of which lie within this many deviations


@dataclass(frozen=True)
class Vote:
    """What one person said of two captions of a clip, given by their ids."""

    clip: int
    left: int
    right: int
    choice: Choice


@dataclass(frozen=True)
class VoteCounts:
    """How often captioner `a` was preferred to `b`, and the reverse; both were `equal`, or
    `neither` was right.
    """

    a: int = 0
    b: int = 0
    equal: int = 0
    neither: int = 0

    @property
    def share(self) -> float | None:
        """The share of `a` among the votes that prefer one, 0 to 1; None without such a vote."""
        return self.a / (self.a + self.b) if self.a + self.b else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where that share lies with 95 % confidence, by Wilson (1927); None without a vote."""
        n, share = self.a + self.b, self.share
        if share is None:
            return None
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        # rounding must not leave the share of unanimous votes outside
        return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def save_votes(engine: Engine, dataset_id: int, voter: str, votes: Sequence[Vote]) -> int:
    """Store votes in the place of earlier ones by this voter on the same captions.

    Returns how many there are: votes on captions that are gone, or of another dataset, or both by
    one captioner, are left out.
    """
    ids = sorted({i for vote in votes for i in (vote.left, vote.right)})
    known = (
        select(captions.c.id, captions.c.clip_id, captions.c.model)
        .join_from(captions, clips, captions.c.clip_id == clips.c.id)
        .where(clips.c.dataset_id == dataset_id, among(captions.c.id))
        .where(captions.c.window_start_pts.is_(None))
    )
    with writing(engine) as connection:
        of = {row.id: row for row in connection.execute(known, {"ids": ids})}
        rows = {}
        for vote in votes:
            left, right = of.get(vote.left), of.get(vote.right)
            if not left or not right or not left.clip_id == right.clip_id == vote.clip:
                continue
            if left.model == right.model:
                continue
            first, second = sorted((left, right), key=lambda row: row.model)
            better = {"left": left, "right": right}.get(vote.choice)
            rows[vote.clip, first.id, second.id] = {
                "clip_id": vote.clip,
                "voter": voter,
                "model_a": first.model,
                "model_b": second.model,
                "caption_a": first.id,
                "caption_b": second.id,
                "choice": vote.choice if better is None else "a" if better is first else "b",
                "created_at": time.time(),
            }
        for row in rows.values():
            same = ("clip_id", "voter", "caption_a", "caption_b")
            theirs = [caption_votes.c[name] == row[name] for name in same]
            connection.execute(delete(caption_votes).where(*theirs))
        if rows:
            connection.execute(insert(caption_votes), list(rows.values()))
    return len(rows)


def count_votes(engine: Engine, dataset_id: int) -> dict[tuple[str, str], VoteCounts]:
    """The votes of a dataset, by the names of the two captioners in the order of the alphabet."""
    table = caption_votes
    names = (table.c.model_a, table.c.model_b)
    query = (
        select(*names, table.c.choice, func.count())
        .join_from(table, clips, table.c.clip_id == clips.c.id)
        .where(clips.c.dataset_id == dataset_id)
        .group_by(*names, table.c.choice)
        .order_by(*names)
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    with reading(engine) as connection:
        for a, b, choice, count in connection.execute(query):
            found.setdefault((a, b), {})[choice] = count
    return {pair: VoteCounts(**counts) for pair, counts in found.items()}


def votes_on(engine: Engine, dataset_id: int, a: str, b: str) -> VoteCounts:
    """The votes on two captioners, in the order in which they are named."""
    found = count_votes(engine, dataset_id)
    if a <= b:
        return found.get((a, b), VoteCounts())
    other = found.get((b, a), VoteCounts())
    return VoteCounts(other.b, other.a, other.equal, other.neither)
