"""How far a dataset is: arithmetic over its rows as `curate.db.reports.counts` counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from curate.configs.pipeline import FilterStep, Pipeline, StageStep
from curate.configs.schema import LEVELS, Level
from curate.db.reports.counts import RowCount
from curate.db.schema import PICKED


@dataclass(frozen=True)
class StepCounts:
    """What became of the rows that came to one step of a pipeline, or to picks by hand, which go
    before all filters of clips.

    came_in = waiting + running + failed + dropped + kept; `kept` went on to the next step. A filter
    has no waiting, running or failed rows. Rows that a filter drops are counted at the filter.
    """

    step: str
    kind: str  # stage, filter or pick
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
    def kept_share(self) -> float | None:
        """The share of the rows that went on, 0 to 1; None when none came in."""
        return self.kept / self.came_in if self.came_in else None

    @property
    def unfinished(self) -> int:
        """Rows that wait or are at work."""
        return self.waiting + self.running


def funnel(counts: Sequence[RowCount], pipeline: Pipeline, picks: bool = False) -> list[StepCounts]:
    """What did each step take in, keep and drop? One entry a step of the pipeline, in order.

    Behind the stage that makes clips, where there are `picks`, one for them, and one for each
    filter of videos by which clips fell with their video.
    """
    left = {level: sum(c.rows for c in counts if c.level == level) for level in LEVELS}
    reasons = {PICKED, *(step.name for step in pipeline.filters)}
    maker = pipeline.maker("clip")
    steps = []
    for step in pipeline.steps:
        of_level = [c for c in counts if c.level == step.level]
        if isinstance(step, FilterStep):
            step_counts = _of_filter(step, of_level, left[step.level])
        else:
            step_counts = _of_stage(step, of_level, left[step.level], reasons)
        left[step.level] = step_counts.kept
        steps.append(step_counts)
        if step == maker:
            for one in _before_filters(counts, pipeline, picks):
                steps.append(replace(one, came_in=left["clip"]))
                left["clip"] = steps[-1].kept
    return steps


def _before_filters(
    counts: Sequence[RowCount], pipeline: Pipeline, picks: bool
) -> Iterator[StepCounts]:
    """What drops clips before their own filters: picks, and filters of their videos."""
    dropped = Counter[str | None]()
    for c in counts:
        dropped[c.reason] += c.rows if (c.level, c.status) == ("clip", "dropped") else 0
    if picks:
        yield StepCounts(PICKED, "pick", "clip", "", "", 0, dropped=dropped[PICKED])
    for step in pipeline.filters:
        if step.level == "video" and (fallen := dropped[step.name]):
            yield StepCounts(step.name, "filter", "clip", "", step.where, 0, dropped=fallen)


def _of_filter(step: FilterStep, counts: Sequence[RowCount], came_in: int) -> StepCounts:
    dropped = sum(c.rows for c in counts if c.status == "dropped" and c.reason == step.name)
    return StepCounts(
        step=step.name,
        kind="filter",
        level=step.level,
        queue="",
        where=step.where,
        came_in=came_in,
        dropped=dropped,
    )


def _of_stage(
    step: StageStep, counts: Sequence[RowCount], came_in: int, reasons: set[str]
) -> StepCounts:
    at_stage = [c for c in counts if c.stage == step.name]
    running = sum(c.leased for c in at_stage if c.status == "active")
    active = sum(c.rows for c in at_stage if c.status == "active")
    failed = sum(c.rows for c in at_stage if c.status == "failed")
    # rows that filters dropped stand at the stage behind them, and count at the filter
    dropped = sum(c.rows for c in at_stage if c.status == "dropped" and c.reason not in reasons)
    return StepCounts(
        step=step.name,
        kind="stage",
        level=step.level,
        queue=step.options.queue,
        where="",
        came_in=came_in,
        waiting=active - running,
        running=running,
        failed=failed,
        dropped=dropped,
    )


RATE_SECONDS = 60.0
MOST_BATCHES = 200  # of a stage that its rate looks at


@dataclass(frozen=True)
class EndedBatch:
    """A batch that ended `ago` seconds ago and took `seconds`."""

    ago: float
    seconds: float
    rows: int


def rate(ended: Sequence[EndedBatch], others: Sequence[EndedBatch] = ()) -> float | None:
    """Rows a second that a stage finished lately, by all its workers together; None when it
    finished none.

    `ended` are its last batches, at most MOST_BATCHES. The time looked at is a minute, or as long
    as two batches take where they are long; less when work began later, or when so many batches
    ended in it. Of that time only what a batch took counts, of this stage or of `others`: workers
    that turn to another stage are at work, those that stand still are not.
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
    busy = covered = 0.0
    for b in sorted((*ended, *others), key=lambda b: b.ago):
        end = min(since, b.ago + b.seconds)
        busy += max(0.0, end - max(covered, b.ago))
        covered = max(covered, end)
    return rows / max(1.0, busy)


@dataclass(frozen=True)
class StageProgress:
    """How far one stage is. waiting + running + done + dropped + failed = the rows that came to it.

    `eta_by_media` is what the batches at work tell of the time left, and goes before the rate.

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
    eta_by_media: float | None = None

    @property
    def eta(self) -> float | None:
        """Seconds until what waits now is done; None when nothing waits."""
        left = self.waiting + self.running
        if left and self.eta_by_media is not None:
            return self.eta_by_media
        return left / self.rate if self.rate and left else None

    @property
    def total(self) -> int:
        """The rows that came to the stage."""
        return self.waiting + self.running + self.finished

    @property
    def finished(self) -> int:
        """The rows that the stage is through with."""
        return self.done + self.dropped + self.failed


def progress(
    steps: Sequence[StepCounts], rates: Mapping[str, float], etas: Mapping[str, float] | None = None
) -> list[StageProgress]:
    """How far is each stage? In pipeline order. `etas` are by media."""
    stages: list[StageProgress] = []
    for index, step in enumerate(steps):
        if step.kind != "stage":
            continue
        dropped, done = step.dropped, step.kept
        for behind in steps[index + 1 :]:  # the filters directly behind the stage
            if behind.kind == "stage":
                break
            if behind.level == step.level:
                dropped += behind.dropped
                done = behind.kept
        stages.append(
            StageProgress(
                stage=step.step,
                level=step.level,
                queue=step.queue,
                waiting=step.waiting,
                running=step.running,
                done=done,
                dropped=dropped,
                failed=step.failed,
                rate=rates.get(step.step),
                eta_by_media=(etas or {}).get(step.step),
            )
        )
    return stages


def eta_of(stages: Sequence[StageProgress]) -> float | None:
    """Seconds until the last stage is done, or None where that cannot be told yet.

    Each stage has to do what waits for it and what will come to it, taking the share that earlier
    stages passed on so far, and as many clips a video. The stage that needs longest at its present
    rate decides.
    """
    coming = 0.0  # rows that will come to the stage
    longest: float | None = None
    for position, stage in enumerate(stages):
        left = stage.waiting + stage.running + coming
        if left > 0:
            there = stage.eta if stage.waiting + stage.running else 0.0
            if there is None or (coming and not stage.rate):
                return None
            later = coming / stage.rate if stage.rate else 0.0
            longest = max(longest or 0.0, there + later)
        following = stages[position + 1] if position + 1 < len(stages) else None
        if following is None or left == 0:
            coming = 0.0
            continue
        if not stage.finished:
            return None
        # what the next stage got for each row that this one is through with: a share, or clips a
        # video
        coming = left * following.total / stage.finished
    return longest


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
        """Kept, dropped, failed and waiting clips and unsplit videos, in percent: 100 in all."""
        parts = {
            "kept": self.kept,
            "dropped": self.dropped,
            "failed": self.failed,
            "waiting": self.active,
        }
        whole = sum(parts.values())
        return {name: 100 * rows / whole if whole else 0.0 for name, rows in parts.items()}


def totals(counts: Sequence[RowCount]) -> Totals:
    """How many rows there are, and how they ended; a split video counts by its clips."""

    def rows(level: Level, *status: str) -> int:
        return sum(
            c.rows for c in counts if c.level == level and (not status or c.status in status)
        )

    ends = {s: rows("video", s) + rows("clip", s) for s in ("dropped", "failed", "active")}
    return Totals(
        videos=rows("video"),
        clips=rows("clip"),
        kept=rows("clip", "kept"),
        **ends,
        finished_videos=rows("video", "kept"),
    )
