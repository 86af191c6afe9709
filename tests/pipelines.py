"""A small catalog of stages without media, for tests of the database and the worker."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sqlalchemy import Engine, text

from curate.configs.pipeline import Pipeline, parse
from curate.configs.settings import Settings
from curate.db import datasets, migrate
from curate.db.datasets import Dataset
from curate.db.engine import make_engine, writing
from curate.db.queue.claim import claim
from curate.db.queue.leases import Claim, ClaimRequest, expire_rows, release_rows
from curate.db.save.batch import Outcomes, Writer, save
from curate.tasks.stage import (
    Clip,
    Column,
    Field,
    NewClip,
    Order,
    Outcome,
    Rows,
    Scorer,
    Scores,
    Stage,
    StageOptions,
    Video,
)


class Probe(Stage[Video, StageOptions]):
    """Measures nothing."""

    name = "probe"
    level = "video"
    comes_first = True
    columns = {"num_frames": Column("int", "frames"), "width": Column("int", "pixels")}

    def run(self, row: Video) -> Outcome:
        if "broken" in row.path:
            raise ValueError(f"cannot read {row.path}")
        return Outcome({"num_frames": 100, "width": 64})


class Split(Stage[Video, StageOptions]):
    """As many clips as the digit in the name of the video says."""

    name = "split"
    level = "video"
    makes = "clip"
    comes_first = True
    columns = {"num_frames": Column("int", "frames")}

    def run(self, row: Video) -> Outcome:
        count = int("".join(c for c in row.relpath.partition(".")[0] if c.isdigit()) or 0)
        found = [NewClip(i, i * 10, i * 10 + 10, {"num_frames": 10}) for i in range(count)]
        return Outcome({}, found, None if found else "no_scene_long_enough")


class Score(Scorer[StageOptions]):
    """The score is the clip's index; `hook` lets a test misbehave."""

    name = "score"
    columns = {"score": Column("float", "the clip's index", 0, None, "higher")}
    hook: ClassVar[Callable[[Clip], Any] | None] = None

    def score(self, clip: Clip) -> Scores:
        hook = type(self).hook
        result = hook(clip) if hook else None
        return {"score": float(clip.index)} if result is None else result


class SecondOptions(StageOptions):
    """Options of second."""

    factor: int = Field(1, description="what its score is multiplied by")


class Second(Scorer[SecondOptions]):
    """The clip's index times an option."""

    name = "second"
    Options = SecondOptions
    columns = {"other": Column("float", "index times factor", 0, None, "higher")}

    def score(self, clip: Clip) -> Scores:
        return {"other": float(clip.index * self.options.factor)}


class Third(Scorer[StageOptions]):
    """Measures nothing."""

    name = "third"

    def score(self, clip: Clip) -> Scores:
        return {}


class Embed(Stage[Clip, StageOptions]):
    """Writes two embeddings and an option score a clip; `hook` lets a test misbehave."""

    name = "embed"
    level = "clip"
    writes = ("embeddings", "option_scores")
    hook: ClassVar[Callable[[Clip], Any] | None] = None

    def run(self, row: Clip) -> Outcome:
        hook = type(self).hook
        made = hook(row) if hook else None
        return Outcome({}, tables=[embedding(row.index)] if made is None else made)


def embedding(value: float, model: str = "tiny", frames: int = 2) -> Rows:
    """Vectors of one number, for as many frames."""
    vector = struct.pack("<e", value)
    rows = [{"frame": n, "position": 0.5, "vector": vector} for n in range(frames)]
    return Rows("embeddings", {"model": model}, [{"revision": "r1", **row} for row in rows])


class Heads(Scorer[StageOptions]):
    """How many embeddings the clip has."""

    name = "heads"
    reads = ("embeddings", "option_scores")
    columns = {"heads": Column("int", "embeddings of the clip")}
    seen: ClassVar[list[Any]] = []

    def score(self, clip: Clip) -> Scores:
        type(self).seen.append(clip.tables)
        return {"heads": len(clip.tables["embeddings"])}


class InOrder(Stage[Clip, StageOptions]):
    """Numbers the clips in order."""

    name = "inorder"
    level = "clip"
    columns = {"dedup_seq": Column("int", "number"), "duplicate": Column("int", "0")}
    seen = 0

    @classmethod
    def order(cls, options: Any) -> Order:
        return Order(number="dedup_seq", recalled=("duplicate",))

    def recall(self, rows: Sequence[Any]) -> None:
        self.seen += len(rows)

    def run(self, row: Clip) -> Outcome:
        return self.run_batch([row])[0]

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome]:
        return [
            Outcome({"dedup_seq": self.seen + n, "duplicate": 0}) for n, _ in enumerate(rows, 1)
        ]


class Dedup(InOrder):
    """Looks for no duplicate, but says where it would write one."""

    name = "dedup"
    columns = {**InOrder.columns, "duplicate_of": Column("int", "id of the earlier clip")}

    @classmethod
    def order(cls, options: Any) -> Order:
        return replace(super().order(options), duplicate_of="duplicate_of")


CATALOG: dict[str, Any] = {
    cls.name: cls for cls in (Probe, Split, Score, Second, Third, Embed, Heads, InOrder, Dedup)
}


def pipeline(*steps: str | dict[str, Any]) -> Pipeline:
    """A pipeline of the catalog; a string names a stage, `name: predicate` is a filter."""
    raw = [_step(s) if isinstance(s, str) else s for s in ("probe", "split", *steps)]
    return parse(raw, CATALOG, "test")


def _step(short: str) -> dict[str, Any]:
    name, colon, where = short.partition(":")
    return {"filter": name, "where": where.strip()} if colon else {"stage": name}


@dataclass(frozen=True)
class Found:
    """An input, as curate.tasks.inputs.find finds them."""

    path: str
    fingerprint: str = "1"
    extra: dict[str, Any] | None = None
    only_known: bool = False

    @property
    def relpath(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass
class Line:
    """A database with one dataset, and shortcuts to work on it."""

    engine: Engine
    dataset: Dataset
    pipeline: Pipeline
    settings: Settings

    def enqueue(self, *names: str) -> datasets.Enqueued:
        return datasets.enqueue(
            self.engine, self.dataset, [Found(f"/v/{n}") for n in names], self.pipeline
        )

    def request(self, stage: str, owner: str = "me", **changes: Any) -> ClaimRequest:
        lease = changes.pop("lease_seconds", 60.0)
        return ClaimRequest(
            self.dataset.id, self.pipeline.by_name[stage], self.pipeline, owner, lease, 3, **changes
        )

    def claim(self, stage: str, owner: str = "me", **changes: Any) -> Claim | None:
        return claim(self.engine, self.request(stage, owner, **changes))

    def held(self, stage: str, owner: str = "me", **changes: Any) -> Claim:
        """A claim of rows that are there."""
        held = self.claim(stage, owner, **changes)
        assert held is not None
        return held

    def save(self, held: Claim, outcomes: Outcomes) -> int:
        """Save outcomes of a claim; the rows saved."""
        return save(self.engine, held, outcomes, writer()).rows

    def release(self, *owners: str) -> int:
        """Free the rows of owners, as if never taken."""
        with writing(self.engine) as connection:
            return release_rows(connection, self.dataset.id, owners)

    def expire(self, *owners: str) -> int:
        """Free the rows of owners that died."""
        with writing(self.engine) as connection:
            return expire_rows(connection, self.dataset.id, owners)

    def put_clips(
        self, count: int, stage: str, video: str = "/v/x.mp4", status: str = "active"
    ) -> list[int]:
        """Clips of one video that wait for a stage; returns their ids."""
        self.enqueue(video.rpartition("/")[2])
        with self.engine.begin() as connection:
            video_id = connection.execute(text("SELECT max(id) FROM videos")).scalar_one()
            connection.execute(
                text("UPDATE videos SET stage='done', status='kept' WHERE id=:v"), {"v": video_id}
            )
            insert = text(
                "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage, "
                "status) "
                "VALUES (:d, :v, :i, 0, 1, :s, :t) RETURNING id"
            )
            base = {"d": self.dataset.id, "v": video_id, "s": stage, "t": status}
            return [connection.execute(insert, {**base, "i": i}).scalar_one() for i in range(count)]

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(r) for r in connection.execute(text(sql), values)]


def writer() -> Writer:
    """Who saves in tests."""
    return Writer(lambda frozen: parse(json.loads(frozen), CATALOG, "test"), "worker", "0")


def make_line(
    url: str, home: Any, steps: Iterable[str | dict[str, Any]], name: str = "set"
) -> Line:
    """A migrated database with a dataset of the pipeline probe, split, *steps."""
    engine = make_engine(url)
    migrate.ensure(engine)
    made = pipeline(*steps)
    return Line(
        engine,
        datasets.create(engine, name, "/v", made),
        made,
        Settings(home=home, database_url=url),
    )


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for a condition that another process or thread brings about. Raises TimeoutError."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        if waited > seconds:
            raise TimeoutError("the condition did not come true")
        time.sleep(min(0.02 + waited / 20, 0.2))  # to ask costs more than it tells
