"""How far a dataset is: arithmetic over its rows as `curate.db.reports.counts.tally` counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curate.configs.pipeline import FilterStep, Pipeline, StageStep
from curate.configs.schema import Level

LEVELS: tuple[Level, ...] = ("video", "clip")


@dataclass(frozen=True)
class Cell:
    """How many rows of a level stand at one place with one status and reason; `held` are at work."""

    level: Level
    place: str
    status: str
    reason: str | None
    rows: int
    held: int


@dataclass(frozen=True)
class Passage:
    """What became of the rows that came to one step.

    came_in = waiting + running + failed + dropped + kept; `kept` went on to the next step. A filter
    has no waiting, running or failed rows. Rows that a filter drops are counted at the filter.
    """

    step: str
    kind: str  # stage or filter
    level: Level
    queue: str
    where: str
    came_in: int
    waiting: int = 0
    running: int = 0
    failed: int = 0
    dropped: int = 0

    @property
    def kept(self) -> int:
        """Rows that went on."""
        return self.came_in - self.waiting - self.running - self.failed - self.dropped

    @property
    def unfinished(self) -> int:
        """Rows that wait or are at work."""
        return self.waiting + self.running


def funnel(cells: list[Cell], pipeline: Pipeline) -> list[Passage]:
    """What did each step take in, keep and drop? One entry a step of the pipeline, in order."""
    left = {level: sum(c.rows for c in cells if c.level == level) for level in LEVELS}
    passages = []
    for step in pipeline.steps:
        passage = _passage(step, cells, left[step.level], {f.name for f in pipeline.filters})
        left[step.level] = passage.kept
        passages.append(passage)
    return passages


def _passage(
    step: StageStep | FilterStep, cells: list[Cell], came_in: int, filters: set[str]
) -> Passage:
    level = step.level
    if isinstance(step, FilterStep):
        by_it = (
            c for c in cells if c.level == level and c.status == "dropped" and c.reason == step.name
        )
        dropped = sum(c.rows for c in by_it)
        return Passage(step.name, "filter", level, "", step.where, came_in, dropped=dropped)
    here = [c for c in cells if c.level == level and c.place == step.name]
    active = [c for c in here if c.status == "active"]
    running = sum(c.held for c in active)
    waiting = sum(c.rows for c in active) - running
    failed = sum(c.rows for c in here if c.status == "failed")
    dropped = sum(c.rows for c in here if c.status == "dropped" and c.reason not in filters)
    return Passage(
        step.name,
        "stage",
        level,
        step.options.queue,
        "",
        came_in,
        waiting,
        running,
        failed,
        dropped,
    )


RATE_SECONDS = 60.0
MOST_BATCHES = 200  # of a stage that its rate looks at


@dataclass(frozen=True)
class Ended:
    """A batch that ended `ago` seconds ago and took `seconds`."""

    ago: float
    seconds: float
    rows: int


def rate(ended: Sequence[Ended]) -> float | None:
    """Rows a second that a stage finished lately, by all its workers together; None when it
    finished none.

    `ended` are its last batches, at most MOST_BATCHES. The time looked at is a minute, or as long
    as two batches take where they are long; less when work began later, or when so many batches
    ended in it.
    """
    longest = max((b.seconds for b in ended if b.ago <= 3600), default=0.0)
    reach = max(RATE_SECONDS, 2 * longest)
    if len(ended) >= MOST_BATCHES:
        reach = min(reach, max(b.ago for b in ended))
    counted = [b for b in ended if b.ago <= reach]
    rows = sum(b.rows for b in counted)
    if not rows:
        return None
    since = min(reach, max(b.ago + b.seconds for b in counted))
    return rows / max(1.0, since)


@dataclass(frozen=True)
class StageProgress:
    """How far one stage is. waiting + running + done + dropped + failed = the rows that came to it.

    `dropped` counts its own drops and those of the filters directly behind it. `rate` is in rows a
    second (see `rate`), `eta` in seconds; both None when nothing finished lately.
    """

    stage: str
    level: Level
    queue: str
    waiting: int
    running: int
    done: int
    dropped: int
    failed: int
    rate: float | None = None

    @property
    def eta(self) -> float | None:
        """Seconds until what waits now is done; None when nothing waits."""
        left = self.waiting + self.running
        return left / self.rate if self.rate and left else None

    @property
    def total(self) -> int:
        """The rows that came to the stage."""
        return self.waiting + self.running + self.finished

    @property
    def finished(self) -> int:
        """The rows that the stage is through with."""
        return self.done + self.dropped + self.failed


def progress(passages: list[Passage], rates: dict[str, float]) -> list[StageProgress]:
    """How far is each stage? In pipeline order."""
    stages: list[StageProgress] = []
    for index, passage in enumerate(passages):
        if passage.kind != "stage":
            continue
        behind = _filters_behind(passages, index)
        dropped = passage.dropped + sum(f.dropped for f in behind)
        done = (behind[-1] if behind else passage).kept
        place = (passage.step, passage.level, passage.queue, passage.waiting, passage.running)
        stages.append(StageProgress(*place, done, dropped, passage.failed, rates.get(passage.step)))
    return stages


def eta_of(stages: Sequence[StageProgress]) -> float | None:
    """Seconds until the last stage is done, or None where that cannot be told yet.

    Each stage has to do what waits for it and what will come to it, taking the share that earlier
    stages passed on so far, and as many clips a video. The stage that needs longest at its present
    rate decides.
    """
    coming = 0.0  # rows that will come to the stage
    longest: float | None = None
    for place, stage in enumerate(stages):
        left = stage.waiting + stage.running + coming
        if left > 0:
            if not stage.rate:
                return None
            longest = max(longest or 0.0, left / stage.rate)
        following = stages[place + 1] if place + 1 < len(stages) else None
        if following is None or left == 0:
            coming = 0.0
            continue
        if not stage.finished:
            return None
        # what the next stage got for each row that this one is through with: a share, or clips a
        # video
        coming = left * following.total / stage.finished
    return longest


def _filters_behind(passages: list[Passage], index: int) -> list[Passage]:
    found = []
    for passage in passages[index + 1 :]:
        if passage.kind != "filter":
            break
        if passage.level == passages[index].level:
            found.append(passage)
    return found


@dataclass(frozen=True)
class Totals:
    """The rows of a dataset by how they ended. `clips` and `videos` count all of their rows."""

    videos: int
    clips: int
    kept: int  # clips through the whole pipeline
    dropped: int
    failed: int
    active: int
    finished_videos: int

    def shares(self) -> dict[str, float]:
        """Kept, dropped, failed and waiting clips and unsplit videos, in percent; they sum to 100."""
        parts = {
            "kept": self.kept,
            "dropped": self.dropped,
            "failed": self.failed,
            "waiting": self.active,
        }
        whole = sum(parts.values())
        return {name: 100 * rows / whole if whole else 0.0 for name, rows in parts.items()}


def totals(cells: list[Cell]) -> Totals:
    """How many rows are there, and how did they end? Videos that were split count by their clips."""

    def rows(level: Level, *status: str) -> int:
        return sum(c.rows for c in cells if c.level == level and (not status or c.status in status))

    ends = {s: rows("video", s) + rows("clip", s) for s in ("dropped", "failed", "active")}
    kept = rows("clip", "kept")
    return Totals(rows("video"), rows("clip"), kept, **ends, finished_videos=rows("video", "kept"))
