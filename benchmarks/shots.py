"""How well the detectors of `split` find cuts, dissolves and fades, and what they cost.

python benchmarks/shots.py [--repeats 2] [--models FOLDER]

Draws videos of a camera that looks at painted scenes with things moving in them: hard cuts,
dissolves, fades, wipes; flashes, whip pans, shaking, standing still; a frame a second, variable
rates; and long shots, as of talks, streets and nature. For each kind and detector: the changes
drawn, those found, and others found; then precision, recall and F1 of cuts, dissolves and fades
together, and CPU milliseconds a frame with decoding. The last line is a JSON object.

As context, not measured here: TransNetV2's authors report F1 of 0.779 on ClipShots, 0.962 on BBC
and 0.939 on RAI (arXiv 2008.04838, table 1).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from tests.media import CLOSED, Encoding, write_video

from benchmarks.stitch import HEIGHT, WIDTH, Image, flash, scene, view, whip
from curate.configs.settings import Settings, load_settings
from curate.tasks.split import Split
from curate.tasks.stage import Context, Video

DETECTORS = ("adaptive", "content", "learned", "gated")
NEAR = 3  # frames by which a change may be off: a flash hides the very frame
SCENES = 55  # frames of a drawn shot


@dataclass(frozen=True)
class Film:
    """Drawn frames, and the changes of shot: first frame, and the one after the last, of each."""

    frames: Sequence[Image]
    changes: Sequence[tuple[int, int]] = ()
    encoding: Encoding = CLOSED


def living(seed: int, count: int, speed: float = 1.5) -> list[Image]:
    """A shot: the camera pans slowly, three things move before it, and there is grain."""
    painting, rng = scene(seed), np.random.default_rng(seed)
    things = [
        (rng.uniform(0, WIDTH), rng.uniform(40, HEIGHT - 20), *rng.uniform(-3, 3, 2))
        for _ in range(3)
    ]
    inks = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in things]
    start = rng.uniform(0, WIDTH)
    frames = []
    for n in range(count):
        frame = view(painting, start + speed * n).copy()
        for (x, y, dx, dy), ink in zip(things, inks, strict=True):
            at = int((x + dx * n) % WIDTH), int(y + dy * 4 * np.sin(n / 9))
            cv2.ellipse(frame, at, (14, 26), 0, 0, 360, ink, -1)
        grain = rng.normal(0, 3, frame.shape)
        frames.append(np.clip(frame + grain, 0, 255).astype(np.uint8))
    return frames


def joined(seed: int, length: int, mix: Callable[[Image, Image, float], Image]) -> Film:
    """Two shots, the frames of the change made of those of both."""
    one, other = living(seed, SCENES + length), living(seed + 1000, SCENES + length)
    change = [
        mix(one[SCENES + n], other[n], (n + 1) / (length + 1)).astype(np.uint8)
        for n in range(length)
    ]
    frames = [*one[:SCENES], *change, *other[length:]]
    return Film(frames, [(SCENES, SCENES + length)])


def dissolved(one: Image, other: Image, share: float) -> Image:
    """Both, mixed."""
    return (one * (1 - share) + other * share).astype(np.uint8)


def faded(one: Image, other: Image, share: float) -> Image:
    """Down to black, and up."""
    picture, light = (one, 1 - 2 * share) if share < 0.5 else (other, 2 * share - 1)
    return (picture * light).astype(np.uint8)


def wiped(one: Image, other: Image, share: float) -> Image:
    """The other from the left."""
    edge = round(WIDTH * share)
    return np.concatenate([other[:, :edge], one[:, edge:]], axis=1)


def cuts(seed: int) -> Film:
    """Three shots."""
    shots = [living(seed + 1000 * n, SCENES) for n in range(3)]
    return Film([f for shot in shots for f in shot], [(SCENES, SCENES), (2 * SCENES, 2 * SCENES)])


def shaken(seed: int) -> Film:
    """A shot from the hand, with a few hard pushes."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 5, (110, 2))
    moves[40:44] *= 5
    frames = [
        np.roll(f, (int(dy), int(dx)), (0, 1))
        for f, (dy, dx) in zip(living(seed, 110), moves, strict=True)
    ]
    return Film(frames)


def lapse(seed: int) -> Film:
    """A frame a second: shots of six frames."""
    shots = [living(seed + 100 * n, 6, speed=6) for n in range(10)]
    changes = [(6 * n, 6 * n) for n in range(1, 10)]
    return Film([f for s in shots for f in s], changes, Encoding(rate=Fraction(1)))


def uneven(seed: int) -> Film:
    """Two shots whose frames are 1 to 4 ticks of 1/60 s apart."""
    film = cuts(seed)
    rng = np.random.default_rng(seed)
    pts = np.cumsum(rng.integers(1, 5, len(film.frames))).tolist()
    encoding = Encoding(rate=Fraction(30), pts=pts, time_base=Fraction(1, 60))
    return Film(film.frames, film.changes, encoding)


def long_shots(seed: int, speed: float) -> Film:
    """Two shots of a quarter of a minute."""
    one, other = living(seed, 375, speed), living(seed + 1000, 375, speed)
    return Film([*one, *other], [(375, 375)])


# what F1 is told of, all together
JUDGED: dict[str, Callable[[int], Film]] = {
    "cut": cuts,
    **{f"dissolve of {n}": lambda seed, n=n: joined(seed, n, dissolved) for n in (8, 16, 24, 36)},
    **{f"fade of {n}": lambda seed, n=n: joined(seed, n, faded) for n in (12, 24, 36)},
}
OTHERS: dict[str, Callable[[int], Film]] = {
    "wipe of 16": lambda seed: joined(seed, 16, wiped),
    "flash of 1 frame": lambda seed: Film(flash(living(seed, 80), 40, 1, 1.0)),
    "flash of 3 frames": lambda seed: Film(flash(living(seed, 80), 40, 3, 0.9)),
    "whip pan": lambda seed: Film(whip(seed, WIDTH * 0.3, 6)[1:]),
    "shake": shaken,
    "static": lambda seed: Film([view(scene(seed), 0)] * 80),
    "1 frame a second": lapse,
    "variable rate": uneven,
}
LONG: dict[str, Callable[[int], Film]] = {
    "long: fixed camera": lambda seed: long_shots(seed, 0.0),
    "long: slow pan": lambda seed: long_shots(seed, 1.0),
}


@dataclass(frozen=True)
class Found:
    """What a detector made of a film."""

    cuts: Sequence[int]
    cpu_seconds: float


def find(film: Film, detector: str, folder: Path, models: Path) -> Found:
    """Run `split` on a drawn film, with scenes of 0.2 s and longer."""
    path = write_video(folder / "film.mkv", film.frames, film.encoding)
    values = {"detector": detector, "max_seconds": None, "min_scene_len": "0.2s"}
    options = Split.Options.model_validate({**values, "min_seconds": 0})
    stage = Split(options, Context(Settings(home=folder, models=models)))
    stage.load()
    started = time.process_time()
    clips = stage.run(Video(1, 1, str(path), path.name, {})).clips
    spent = time.process_time() - started
    return Found([int(str(clip.scores["start_frame"])) for clip in clips][1:], spent)


def tally(changes: Sequence[tuple[int, int]], cuts: Sequence[int]) -> tuple[int, int]:
    """How many changes are found, and how many cuts lie at none or are a second one at one."""
    left, right = list(cuts), 0
    for first, after in changes:
        at = [cut for cut in left if first - NEAR <= cut <= after + NEAR]
        if at:
            right += 1
            left.remove(at[0])
    return right, len(left)


def main() -> None:
    """Print a line for each kind and detector, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--models", type=Path, default=load_settings().model_folder)
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    arguments = parser.parse_args()
    detectors = arguments.detectors.split(",")
    sums = {name: {"drawn": 0, "found": 0, "others": 0} for name in detectors}
    spent = {(name, part): [0.0, 0] for name in detectors for part in ("all", "long")}
    print(f"{'kind':22} {'drawn':>5}  " + "  ".join(f"{name:>14}" for name in detectors))
    for kind, draw in {**JUDGED, **OTHERS, **LONG}.items():
        drawn, cells = 0, []
        films = [draw(seed) for seed in range(1 if kind in LONG else arguments.repeats)]
        for name in detectors:
            drawn = found = others = 0
            for film in films:
                with tempfile.TemporaryDirectory() as folder:
                    result = find(film, name, Path(folder), arguments.models)
                right, wrong = tally(film.changes, result.cuts)
                drawn, found, others = drawn + len(film.changes), found + right, others + wrong
                cost = spent[name, "long" if kind in LONG else "all"]
                cost[0], cost[1] = cost[0] + result.cpu_seconds, cost[1] + len(film.frames)
            if kind in JUDGED:
                for key, value in (("drawn", drawn), ("found", found), ("others", others)):
                    sums[name][key] += value
            cells.append(f"{found:5} +{others:<3} wrong")
        print(f"{kind:22} {drawn:5}  " + "  ".join(f"{cell:>14}" for cell in cells), flush=True)
    report = {}
    for name in detectors:
        total = sums[name]
        recall = total["found"] / total["drawn"]
        precision = total["found"] / max(1, total["found"] + total["others"])
        report[name] = {
            "precision": round(precision, 4), "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
            "cpu_ms_a_frame": round(1000 * spent[name, "all"][0] / spent[name, "all"][1], 2),
            "cpu_ms_a_frame_long": round(1000 * spent[name, "long"][0] / spent[name, "long"][1], 2),
        }  # fmt: skip
        print(name, report[name])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
