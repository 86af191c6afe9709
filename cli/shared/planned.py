"""A prediction of what a dataset costs, as people read it: alone, and beside what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from curate.cli.shared.output import emit, emit_parts
from curate.configs.shown import bytes_text, counted, formatted, seconds_text
from curate.db.datasets import video_ids
from curate.db.plans import plan_of
from curate.db.reports.costs import clip_bytes, passed_videos, stage_costs
from curate.db.reports.overview import DatasetView
from curate.tasks.storage.clip_files import archive_size
from curate.tasks.storage.locations import Location
from curate.worker.planning.correction import correct_all, progress_of
from curate.worker.session.database import OpenDataset

HOUR, MINUTE = 3600, 60  # in seconds
Numbers = Mapping[str, Any]  # value, low and high of a prediction
Show = Callable[[float], str]

NOT_IN_IT = (
    "not in it: what no sampled video shows, such as rare failures and copies of a clip in videos "
    "that were not sampled; claiming and saving of rows"
)


def print_plan(prediction: Mapping[str, Any]) -> None:
    """Print a prediction: a table of its stages, and what is predicted of all."""
    sampled = f"{prediction['sampled']} sampled (seed {prediction['seed']})"
    print(f"{counted(prediction['videos'], 'video')}, {sampled}; intervals of 95 %")
    rows = [
        {"stage": s["stage"], "queue": s["queue"], **_times("CPU", s["cpu_seconds"]),
         "NPU": s["npu_seconds"] and cpu_text(s["npu_seconds"]["value"]), "by": s["driver"]}
        for s in prediction["stages"]
    ]  # fmt: skip
    totals = prediction["totals"]
    rows.append({"stage": "all", **_times("CPU", totals["cpu_seconds"])})
    npu = [] if totals["npu_seconds"] is None else ["NPU"]
    emit(rows, False, ["stage", "queue", "CPU", "from", "to", *npu, "by"], ("queue", "by"))
    emit_parts([f"{name} {interval_text(totals[name], _whole)}" for name in ("clips", "kept")])
    sizes = (("clips", "clip_bytes"), ("samples", "sample_bytes"))
    emit_parts([f"{n}: {interval_text(totals[k], bytes_text)} written" for n, k in sizes])
    if npu:
        print(f"NPU {interval_text(totals['npu_seconds'], cpu_text)}")
    for stage in prediction["stages"]:
        if stage["spending"]:
            print(_spending_text(stage["stage"], stage["spending"]))
    processes = " and ".join(f"{n} of {queue}" for queue, n in prediction["processes"].items())
    wall = interval_text(totals["wall_seconds"], seconds_text)
    print(f"{wall} of time, if these processes are all at work: {processes}")
    print(NOT_IN_IT)


def interval_text(numbers: Numbers, show: Show) -> str:
    """`12 (10 to 15)`; the number alone where it is certain, or the ends look the same."""
    value, low, high = (numbers[name] for name in ("value", "low", "high"))
    if high is None:
        return f"{show(value)} (no interval: the sample cannot tell)"
    if show(low) == show(high):
        return show(value)
    return f"{show(value)} ({show(low)} to {show(high)})"


def cpu_text(seconds: float) -> str:
    """Seconds of a CPU or NPU in the unit that suits: `12.5 s`, `3.4 min`, `1 240 h`."""
    for size, unit in ((HOUR, "h"), (MINUTE, "min"), (1, "s")):
        if seconds >= size or unit == "s":
            break
    number = seconds / size
    digits = 0 if number >= 100 else 1 if number >= 1 else 3
    return f"{number:,.{digits}f} {unit}".replace(",", " ")


def _times(name: str, numbers: Numbers) -> dict[str, str]:
    """A row's cells: a predicted time, and its interval."""
    high = numbers["high"]
    ends = {"from": cpu_text(numbers["low"]), "to": "?" if high is None else cpu_text(high)}
    return {name: cpu_text(numbers["value"]), **ends}


def _whole(number: float) -> str:
    return f"{round(number):,}".replace(",", " ")


def _spending_text(stage: str, spending: Mapping[str, Numbers]) -> str:
    names = {"requests": "answers", "tokens_in": "tokens read", "tokens_out": "tokens written"}
    parts = [f"{name} {interval_text(spending[key], _whole)}" for key, name in names.items()]
    if spending["cost"]["value"]:
        parts.append(f"cost {interval_text(spending['cost'], formatted)}")
    return f"{stage}: {', '.join(parts)}"


def plan_json(opened: OpenDataset, view: DatasetView, samples: Location) -> dict[str, Any] | None:
    """The prediction for a dataset beside what it has taken so far, corrected by it; None: there is
    none.
    """
    found = plan_of(opened.engine, opened.dataset)
    if found is None:
        return None
    engine, dataset_id, pipeline = opened.engine, opened.dataset.id, opened.pipeline
    passed = passed_videos(engine, dataset_id, pipeline)
    done = progress_of(found.prediction, passed, view.stages)
    counts: dict[str, float] = {"clips": view.totals.clips, "kept": view.totals.kept}
    if view.over:
        counts["clip_bytes"] = clip_bytes(engine, dataset_id, pipeline)
        if isinstance(samples, Path):
            ids = video_ids(engine, dataset_id)
            counts["sample_bytes"] = sum(archive_size(samples, i) for i in ids)
    maker = pipeline.maker("clip")
    name = maker.name if maker else ""
    costs = stage_costs(engine, dataset_id)
    return {
        "planned_at": found.created_at, "videos": found.prediction["videos"],
        "sampled": found.prediction["sampled"], "filters_differ": found.filters_differ,
        **correct_all(found.prediction, done, costs, counts, name),
    }  # fmt: skip


def plan_lines(plan: Mapping[str, Any], videos: int, over: bool) -> list[str]:
    """What `status` says of a plan: the prediction beside what it is held to be now, or was."""
    lines = []
    shows: dict[str, tuple[str, Show]] = {
        "cpu_seconds": ("CPU", cpu_text), "clips": ("clips", _whole),
        "kept": ("kept", _whole), "clip_bytes": ("bytes of clips", bytes_text),
        "sample_bytes": ("bytes of samples", bytes_text),
    }  # fmt: skip
    for name, (title, show) in shows.items():
        if (one := plan["totals"].get(name)) and (one["spent"] or one["predicted"]["high"] != 0):
            text = f"plan: {title} {interval_text(one['predicted'], show)}"
            if over:
                verdict = "within the interval" if one["within"] else "outside the interval"
                lines.append(f"{text}, was {show(one['spent'])}: {verdict}")
            else:
                now = interval_text(one["corrected"], show)
                lines.append(f"{text}, now {now}; {show(one['spent'])} so far")
    if not over and plan["eta_seconds"]:
        lines.append(f"plan: {seconds_text(plan['eta_seconds'])} left by it")
    if plan["videos"] != videos:
        has = f"the dataset has {videos}"
        lines.append(f"plan: it was made for {counted(plan['videos'], 'video')}, and {has}")
    if plan["filters_differ"]:
        lines.append("plan: the filters have changed since; clips and later stages differ")
    return lines
