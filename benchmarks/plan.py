"""Predicted against true cost on three unlike sets of videos: is the truth in the interval?

    python benchmarks/plan.py [--videos FOLDER] [--work FOLDER] [--sets few,many,long]

`few` are the videos of a folder as they are, 3 of 5 sampled; `many` are 60 drawn ones of 2 to 8
seconds at 320 x 180, 12 sampled; `long` are 8 of 10 to 25 seconds at 1280 x 720, pieces of the
folder's videos enlarged and joined, 4 sampled. Each set is planned with `curate plan`, then run
twice with `curate run`, by a pipeline of ten stages that need no weights. A stage is right when its
true CPU seconds are in the interval that was predicted; bytes and clips are counted beside. The two
runs tell by how much one differs from another by itself: `noise`, the standard deviation of the
logarithm of a stage's CPU seconds. One JSON object is the last line.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from tests.drawing import Image, Style, footage
from tests.media import Encoding, write_video

from curate.configs.settings import load_settings
from curate.db.engine import make_engine
from curate.db.reports.costs import stage_costs

PIPELINE = """
pipeline:
  - stage: probe
  - stage: split
    max_seconds: 10
  - stage: dedup
  - filter: unique
    where: duplicate = 0
  - stage: motion
  - filter: not_static
    where: coalesce(static, 0) <= 0.9 OR flow >= 0.02
  - stage: camera
  - stage: borders
  - stage: appearance
  - stage: coding
  - stage: loudness
  - stage: cut
"""
STYLES: list[Style] = ["moving", "moving", "moving", "blurred", "noise"]
SAMPLES = {"few": 3, "many": 12, "long": 4}
LONG = (1280, 720)
LEAST_CPU = 0.02  # seconds; a stage that takes less in a whole run is not measured but counted


def few(folder: Path, work: Path) -> None:
    """The videos as they are."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".mp4", ".avi"):
            (work / path.name).symlink_to(path)


def many(folder: Path, work: Path) -> None:
    """Short drawn ones."""
    random = np.random.default_rng(1)
    for number in range(60):
        count = int(random.integers(48, 192))
        cuts = sorted(int(c) for c in random.integers(20, count, random.integers(0, 3)))
        style = STYLES[random.integers(len(STYLES))]
        frames = footage(count, cuts, size=(320, 180), style=style, speed=1 + number % 5)
        # every drawn one of a kind alike would be a copy of the others
        tint = random.integers(-40, 40, 3)
        tinted = [
            np.clip(np.roll(f, number * 7, 1) + tint, 0, 255).astype(np.uint8) for f in frames
        ]
        audio = count / 24 if number % 2 else None
        write_video(work / f"{number:03}.mp4", tinted, Encoding(audio=audio))


def long(folder: Path, work: Path) -> None:
    """Long ones of enlarged pieces."""
    random = np.random.default_rng(2)
    sources = [p for p in sorted(folder.iterdir()) if p.suffix in (".mp4", ".avi")]
    for number in range(8):
        count = int(random.integers(240, 600))
        pieces = [pieces_of(sources[i], random) for i in random.permutation(len(sources))]
        joined = islice((frame for piece in cycle(pieces) for frame in piece()), count)
        write_video(work / f"{number}.mp4", joined, Encoding(options={"preset": "ultrafast"}))


def pieces_of(path: Path, random: np.random.Generator) -> Callable[[], Iterator[Image]]:
    """Up to 120 frames of a video from somewhere in it, a part of its picture enlarged, another
    part each time.
    """

    def piece() -> Iterator[Image]:
        skipped, zoom = int(random.integers(0, 60)), random.uniform(1.0, 1.6)
        left, top = random.uniform(0, 1 - 1 / zoom, 2)
        with av.open(str(path)) as container:
            for frame in islice(container.decode(video=0), skipped, skipped + 120):
                whole = frame.to_ndarray(format="rgb24")
                height, width = whole.shape[:2]
                x, y = int(left * width), int(top * height)
                part = whole[y : y + int(height / zoom), x : x + int(width / zoom)]
                yield cv2.resize(part, LONG, interpolation=cv2.INTER_LINEAR)

    return piece


def curate(home: Path, *words: str) -> str:
    """Standard output of a command, which may end with 1: rows may fail."""
    command = [sys.executable, "-m", "curate.cli.main", "--home", str(home), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def truth_of(home: Path, videos: Path, config: Path, name: str) -> dict[str, Any]:
    """What a run takes: CPU seconds by stage, clips, kept clips, bytes."""
    out = str(home / f"{name}.csv")
    curate(home, "run", str(videos), "-o", out, "-c", str(config), "--name", name)
    status = json.loads(curate(home, "status", name, "--json"))
    settings = load_settings(home=home)
    engine = make_engine(settings.database, home=str(settings.folder))
    (number,) = (d["id"] for d in json.loads(curate(home, "sql", "--json", DATASET % name)))
    costs = stage_costs(engine, number)
    engine.dispose()
    found = {key: one["spent"] for key, one in status["plan"]["totals"].items()}
    return {"stages": {stage: cost.cpu for stage, cost in costs.items()}, **found}


DATASET = "SELECT id FROM datasets WHERE name = '%s'"


def holds(predicted: dict[str, Any], true: float) -> bool:
    """Whether the truth is in the interval."""
    high = math.inf if predicted["high"] is None else predicted["high"]
    return bool(predicted["low"] <= true <= high)


def judge(name: str, folder: Path, work: Path) -> dict[str, Any]:
    """Plan and run one set."""
    videos, home, config = work / name / "videos", work / name / "home", work / "pipeline.yaml"
    if not videos.exists():
        videos.mkdir(parents=True)
        {"few": few, "many": many, "long": long}[name](folder, videos)
    config.write_text(PIPELINE)
    shutil.rmtree(home, ignore_errors=True)
    words = ("-c", str(config), "--sample", str(SAMPLES[name]), "--json")
    plan = json.loads(curate(home, "plan", str(videos), *words))
    runs = [truth_of(home, videos, config, f"run{i}") for i in (1, 2)]
    true = runs[0]
    print(f"{name}: {plan['videos']} videos, {plan['sampled']} sampled")
    right = {}
    for stage in plan["stages"]:
        predicted, seconds = stage["cpu_seconds"], true["stages"].get(stage["stage"], 0.0)
        right[stage["stage"]] = holds(predicted, seconds)
        show(stage["stage"], predicted, seconds, stage["driver"])
    for key in ("cpu_seconds", "clips", "kept", "clip_bytes"):
        right[f"all {key}"] = holds(plan["totals"][key], true[key])
        show(f"all {key}", plan["totals"][key], true[key], "")
    pairs = [[run["stages"].get(stage["stage"], 0.0) for run in runs] for stage in plan["stages"]]
    noise = [math.log(a / b) / math.sqrt(2) for a, b in pairs if min(a, b) > LEAST_CPU]
    return {"set": name, "right": right, "noise": noise}


def show(name: str, predicted: dict[str, Any], true: float, driver: str) -> None:
    """A line of the table."""
    low, high = predicted["low"], predicted["high"]
    mark = "" if holds(predicted, true) else "  outside"
    top = "?" if high is None else f"{high:12.4g}"
    print(f"  {name:16}{predicted['value']:12.4g}{low:12.4g}{top}{true:12.4g}  {driver}{mark}")


def main() -> None:
    """Judge the sets and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=Path, default=Path("/work/shared/videos"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/curate-plan"))
    parser.add_argument("--sets", default="few,many,long")
    arguments = parser.parse_args()
    print(f"  {'':16}{'predicted':>12}{'from':>12}{'to':>12}{'true':>12}")
    judged = [judge(n, arguments.videos, arguments.work) for n in arguments.sets.split(",")]
    stages = [ok for one in judged for what, ok in one["right"].items() if " " not in what]
    totals = [ok for one in judged for what, ok in one["right"].items() if " " in what]
    noise = [value for one in judged for value in one["noise"]]
    print(json.dumps({
        "stages": len(stages), "stages_right": sum(stages),
        "totals": len(totals), "totals_right": sum(totals),
        "outside": [f"{one['set']} {what}" for one in judged
                    for what, ok in one["right"].items() if not ok],
        "noise": round(math.sqrt(statistics.fmean(n * n for n in noise)), 4) if noise else None,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
