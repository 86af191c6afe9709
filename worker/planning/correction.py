"""A prediction beside what a dataset has taken so far, corrected by it.

The sampled videos and those that are through a stage tell together what the others will take: with
n sampled and m through, which took k times what was predicted of them, the rest is taken to cost
(n + m k) / (n + m) times what was predicted of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.db.reports.costs import Passed, StageCost
from curate.db.reports.progress import StageProgress

Numbers = Mapping[str, Any]  # value, low, high


@dataclass(frozen=True)
class Progress:
    """What share of a stage's work is done, 0 to 1, and how many videos that is."""

    share: float
    videos: float


@dataclass(frozen=True)
class Corrected:
    """A predicted number: `spent` so far, and in all by prediction and by what was seen since."""

    predicted: Numbers
    spent: float
    value: float
    low: float
    high: float | None

    @property
    def left(self) -> float:
        """What is still to come."""
        return self.value - self.spent

    @property
    def within(self) -> bool:
        """Whether what it is now held to be lies within the interval that was predicted."""
        high = self.predicted["high"]
        return self.predicted["low"] <= self.value and (high is None or self.value <= high)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "predicted": dict(self.predicted), "spent": self.spent, "left": self.left,
            "corrected": {"value": self.value, "low": self.low, "high": self.high},
            "within": self.within,
        }  # fmt: skip


def correct(predicted: Numbers, spent: float, done: Progress, sampled: int) -> Corrected:
    """A predicted number, corrected by what is done; when all is done, it is what was spent."""
    value = predicted["value"]
    expected = value * done.share
    factor = 1.0
    if expected > 0:
        factor = (sampled + done.videos * spent / expected) / (sampled + done.videos)
    reach = (1 - done.share) * factor
    high = predicted["high"]
    return Corrected(
        predicted,
        spent,
        value=spent + reach * value,
        low=spent + reach * predicted["low"],
        high=spent if done.share == 1 else None if high is None else spent + reach * high,
    )


def progress_of(
    prediction: Mapping[str, Any], passed: Mapping[str, Passed], stages: Sequence[StageProgress]
) -> dict[str, Progress]:
    """How far each stage is: of videos by the driver of its cost, of clips by their number, among
    those of the videos that are through the stages before.
    """
    drivers = {s["stage"]: s["driver"] for s in prediction["stages"]}
    totals, videos = prediction["drivers"], prediction["videos"]
    found: dict[str, Progress] = {}
    above = 1.0
    for stage in stages:
        if stage.level == "video":
            through = passed[stage.stage]
            driver = drivers[stage.stage]
            share = getattr(through, driver) / totals[driver] if totals[driver] else 1.0
            share = 1.0 if through.videos >= stages[0].total else min(share, 1.0)
            above = share
            found[stage.stage] = Progress(share, through.videos)
            continue
        above *= stage.finished / stage.total if stage.total else 1.0
        found[stage.stage] = Progress(above, above * videos)
    return found


def correct_all(
    prediction: Mapping[str, Any],
    done: Mapping[str, Progress],
    costs: Mapping[str, StageCost],
    counts: Mapping[str, float],
    maker: str,
) -> dict[str, Any]:
    """The whole prediction beside what was spent and found, ready for JSON.

    `counts` has what is counted of `totals` now. Clips are all there when their `maker` is done,
    the rest when the last stage is. `eta_seconds` is for the processes that the prediction is for.
    """
    sampled = prediction["sampled"]
    nothing = Progress(0.0, 0.0)
    stages = []
    busy: dict[str, float] = dict.fromkeys(prediction["processes"], 0.0)
    for stage in prediction["stages"]:
        cost = costs.get(stage["stage"], StageCost())
        at = done.get(stage["stage"], nothing)
        busy[stage["queue"]] += correct(stage["busy_seconds"], cost.busy, at, sampled).left
        cpu = correct(stage["cpu_seconds"], cost.cpu, at, sampled)
        stages.append({"stage": stage["stage"], "done": at.share, "cpu_seconds": cpu.as_json()})
    last = min(done.values(), key=lambda at: at.share, default=nothing)
    totals = {
        name: correct(
            prediction["totals"][name],
            count,
            done.get(maker, nothing) if name == "clips" else last,
            sampled,
        ).as_json()
        for name, count in counts.items()
    }
    weights = [stage["cpu_seconds"]["value"] for stage in prediction["stages"]]
    parts = [weight * s["done"] for weight, s in zip(weights, stages, strict=True)]
    share = 1.0 if last.share == 1 else sum(parts) / (sum(weights) or 1.0)
    whole = Progress(share, share * prediction["videos"])
    spent = sum(cost.cpu for cost in costs.values())
    totals["cpu_seconds"] = correct(
        prediction["totals"]["cpu_seconds"], spent, whole, sampled
    ).as_json()
    left = [busy[queue] / n for queue, n in prediction["processes"].items()]
    return {"stages": stages, "totals": totals, "eta_seconds": max(left, default=0.0)}
