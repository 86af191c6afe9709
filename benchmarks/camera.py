"""How often `camera` names a drawn move of the camera right, and how exact its rates are.

    python -m benchmarks.camera [--moves 200] [--seed 1]

Each move looks at a photograph (china.jpg, flower.jpg of scikit-learn) or a painting, 256 pixels
wide, at 24, 25, 30 or 60 frames a second, with grain, up to three objects that go their own ways,
and four pairs of frames a second measured as `split` does. A line for each label, then all, and
what was named otherwise.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.stitch import scene
from curate.tasks.camera import camera
from curate.tasks.video.flow import Gray, measure_pair
from curate.tasks.video.measures import Pair

SIZE = (256, 144)
FINE = 2  # drawn so much larger, then averaged, as a camera does
SECONDS = 3.0
LABELS = (
    "static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll",
    "handheld", "complex",
)  # fmt: skip


@dataclass(frozen=True)
class Move:
    """A move of the camera: rates as the columns of `camera` have them, and what else is there."""

    label: str
    picture: NDArray[np.uint8]
    rates: dict[str, float]
    fps: float = 25.0
    noise: float = 0.0  # standard deviation of the grain, gray levels
    shake: float = 0.0  # standard deviation of a hand's velocity, widths a second
    turns: bool = False  # the camera goes back half way
    objects: list[tuple[NDArray[np.uint8], float, float, float, float]] = field(
        default_factory=list
    )  # pixels, x and y (shares), velocities in widths a second


@cache
def pictures() -> list[NDArray[np.uint8]]:
    """Two photographs and four paintings, gray."""
    from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]

    images = [*load_sample_images().images, *(scene(seed) for seed in range(4))]
    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) for image in images]


def drawn_move(number: int, rng: np.random.Generator) -> Move:
    """Move `number`: each label in turn, everything else by chance."""
    label = LABELS[number % len(LABELS)]
    sign = -1 if rng.random() < 0.5 else 1
    speed = float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))
    rates = dict.fromkeys(("pan", "tilt", "zoom", "roll"), 0.0)
    if label.startswith("pan"):
        rates["pan"] = speed if label == "pan_right" else -speed
    elif label.startswith("tilt"):
        rates["tilt"] = 0.7 * speed if label == "tilt_up" else -0.7 * speed
    elif label.startswith("zoom"):
        growth = math.expm1(rng.uniform(0.06, 0.4))
        rates["zoom"] = growth if label == "zoom_in" else 1 / (1 + growth) - 1
    elif label == "roll":
        rates["roll"] = sign * float(rng.uniform(6, 40))
    elif label == "complex":
        rates["pan"] = sign * max(speed, 0.06)
        if number % 20 < 10:
            rates["tilt"] = max(speed, 0.06) * float(rng.uniform(0.7, 1.3))
        else:
            rates["zoom"] = math.expm1(max(speed, 0.06) * float(rng.uniform(2.5, 4)))
    every = pictures()
    objects = []
    for _ in range(int(rng.integers(0, 4))):
        other = every[int(rng.integers(len(every)))]
        side = [int(n) for n in rng.integers(40, 130, 2)]
        y, x = (int(rng.integers(other.shape[i] - side[i])) for i in (0, 1))
        patch = other[y : y + side[0], x : x + side[1]]
        objects.append(
            (patch, *(float(v) for v in (*rng.uniform(0, 0.8, 2), *rng.uniform(-0.3, 0.3, 2))))
        )
    return Move(
        label, every[int(rng.integers(len(every)))], rates, float(rng.choice([24, 25, 30, 60])),
        noise=float(rng.uniform(0, 5)),
        shake=float(rng.uniform(0.06, 0.3)) if label == "handheld" else 0.0,
        objects=objects,
    )  # fmt: skip


def frame(move: Move, seconds: float, hand: NDArray[np.float64], rng: Any) -> Gray:
    """What the camera sees at a time, with `hand` (x and y, widths) added to where it looks."""
    width, height = (side * FINE for side in SIZE)
    rows, columns = move.picture.shape
    scale = (1 + move.rates["zoom"]) ** (seconds - SECONDS / 2) * width / (0.45 * columns)
    angle = -math.radians(move.rates["roll"]) * seconds  # the picture turns the other way
    gone, growth = seconds - SECONDS / 2, math.log1p(move.rates["zoom"])
    if growth:  # widths of what is seen then
        gone = -math.expm1(-growth * gone) / growth
    x = width * (move.rates["pan"] * gone + hand[0])
    y = width * (-move.rates["tilt"] * gone + hand[1])
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    base = width / (0.45 * columns)  # pixels of the view for one of the picture
    at = columns / 2 + x / base, rows / 2 + y / base
    matrix = np.array([
        [cos, -sin, width / 2 - cos * at[0] + sin * at[1]],
        [sin, cos, height / 2 - sin * at[0] - cos * at[1]],
    ])  # fmt: skip
    seen = cv2.warpAffine(
        move.picture, matrix, (width, height), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    for patch, px, py, vx, vy in move.objects:
        left, top = int((px + vx * seconds) * width), int(py * height + vy * seconds * width)
        part = patch[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
        top, left = max(0, top), max(0, left)
        seen[top : top + part.shape[0], left : left + part.shape[1]] = part
    small = cv2.resize(seen, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    small += rng.normal(0, move.noise, small.shape).astype(np.float32)
    return small.clip(0, 255).round().astype(np.uint8)


def measured(move: Move, rng: np.random.Generator) -> list[Pair]:
    """The pairs of a move, four a second, each of neighbouring frames."""
    gap = 1 / move.fps
    pairs = []
    count = round(SECONDS * move.fps)
    # a hand's velocity changes several times a second
    velocity = rng.normal(0, move.shake, (count, 2))
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / (0.04 * move.fps)) ** 2)
    velocity = np.stack(
        [np.convolve(v, kernel / np.sqrt((kernel**2).sum()), "same") for v in velocity.T], 1
    )
    hand = np.cumsum(velocity * gap, 0)
    hand -= hand.mean(0)
    for at in range(0, count - 1, max(1, round(move.fps / 4))):
        before, after = (frame(move, (at + n) * gap, hand[at + n], rng) for n in (0, 1))
        pairs.append(measure_pair(before, after, (at + 1) * gap, gap, camera=True))
    return pairs


def main() -> None:
    """Draw the moves and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(asked.seed)
    right: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    wrong: list[str] = []
    errors: dict[str, list[float]] = {}
    for number in range(asked.moves):
        move = drawn_move(number, rng)
        found = camera(measured(move, rng))
        drawn[move.label] += 1
        right[move.label] += found["camera_motion"] == move.label
        if found["camera_motion"] != move.label:
            told = {k: round(v, 3) for k, v in found.items() if isinstance(v, float)}
            true = {k: round(v, 3) for k, v in move.rates.items() if v}
            wrong.append(f"  {move.label} {true}: {found['camera_motion']} {told}")
        for name, rate in move.rates.items():
            if rate and found[f"camera_{name}"] is not None:
                errors.setdefault(name, []).append(abs(float(found[f"camera_{name}"]) / rate - 1))
    for label in LABELS:
        print(f"{label:10} {right[label]:3} of {drawn[label]:3}")
    print(f"all        {right.total() / drawn.total():.3f}")
    for name, values in errors.items():
        within = np.mean(np.array(values) <= 0.1)
        print(
            f"{name:5} {len(values):3} moves, error: median {np.median(values):.3f}, "
            f"90 % below {np.quantile(values, 0.9):.3f}, within 10 %: {within:.3f}"
        )
    print("\n".join(wrong))


if __name__ == "__main__":
    main()
