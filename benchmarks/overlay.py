"""How many drawn marks `overlay` finds, by their opacity, and how many it finds where none is.

    python -m benchmarks.overlay [--clips 20] [--seed 1]

Each clip is 6 to 20 pictures of a camera that moves over a photograph or a painting, as JPEGs of
the size that `split` keeps. The marks are a word and a disc in corners, words across the middle,
and a band with words at the bottom. A mark is found where half of the box or more lies in that of
the mark, and covers a quarter of it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import camera
from curate.tasks.video.standing import Standing, standing

SIZE = (455, 256)
MOVES = ("pan_left", "pan_right", "tilt_up", "zoom_in", "complex")
OPACITIES = (0.03, 0.06, 0.1, 0.2, 1.0)


def marks() -> dict[str, NDArray[np.float32]]:
    """Their opacity, 0 to 1, by name."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    made = {name: np.zeros(SIZE[::-1], np.uint8) for name in ("word", "disc", "middle", "band")}
    cv2.putText(made["word"], "CURATE", (345, 30), font, 0.7, 255, 2)
    cv2.circle(made["disc"], (40, 220), 18, 255, 3)
    cv2.line(made["disc"], (30, 210), (50, 230), 255, 3)
    cv2.putText(made["middle"], "SAMPLE STOCK", (110, 140), font, 1.0, 255, 3)
    cv2.rectangle(made["band"], (60, 215), (395, 245), 255, -1)
    cv2.putText(made["band"], "and then he said", (90, 236), font, 0.7, 0, 2)
    return {name: mark.astype(np.float32)[..., None] / 255 for name, mark in made.items()}


def clip(rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """The pictures of a clip without a mark, RGB."""
    count = int(rng.integers(6, 21))
    label = MOVES[int(rng.integers(len(MOVES)))]
    move = camera.drawn_move(camera.LABELS.index(label), rng)
    slow = [(patch, x, y, vx / 3, vy / 3) for patch, x, y, vx, vy in move.objects]
    move = replace(move, noise=1.5, objects=slow)
    still = np.zeros(2)
    times = np.linspace(0, min(camera.SECONDS * 2, count / 2), count)
    frames = (camera.frame(move, float(time), still, rng) for time in times)
    return [cv2.cvtColor(cv2.resize(f, SIZE), cv2.COLOR_GRAY2RGB).astype(np.uint8) for f in frames]


def found(
    pictures: list[NDArray[np.uint8]], mark: NDArray[np.float32], opacity: float
) -> Standing | None:
    """What stands still on the pictures with a white mark, each coded as JPEG."""
    coded = []
    for picture in pictures:
        mixed = picture * (1 - mark * opacity) + 255 * mark * opacity
        _, jpeg = cv2.imencode(
            ".jpg", mixed.round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90]
        )
        coded.append(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8))
    return standing(coded)


def is_on(one: Standing, mark: NDArray[np.float32]) -> bool:
    """Whether half of the box lies in that of the mark, and covers a quarter of it or more."""
    y, x = (
        places[[0, -1]] / side
        for places, side in zip(
            (np.sort(places) for places in np.nonzero(mark[..., 0])), SIZE[::-1], strict=True
        )
    )
    across = min(one.x + one.width, x[1]) - max(one.x, x[0])
    down = min(one.y + one.height, y[1]) - max(one.y, y[0])
    both = max(0.0, across) * max(0.0, down)
    covered = both / ((x[1] - x[0]) * (y[1] - y[0]))
    return bool(one.share and both >= 0.5 * one.width * one.height and covered >= 0.25)


def main() -> None:
    """Draw the clips and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    camera.SIZE, camera.FINE = SIZE, 1
    rng = np.random.default_rng(asked.seed)
    clips = [clip(rng) for _ in range(asked.clips)]
    none = [found(pictures, marks()["word"], 0.0) for pictures in clips]
    false = sum(bool(one and one.share) for one in none)
    print(f"no mark: {false} of {len(none)} false alarms, {none.count(None)} cannot be told")
    for opacity in OPACITIES:
        told = []
        for name, mark in marks().items():
            hits = unknown = 0
            for pictures in clips:
                one = found(pictures, mark, opacity)
                unknown += one is None
                hits += one is not None and is_on(one, mark)
            told.append(f"{name} {hits / len(clips):.2f}" + f" (NULL {unknown})" * bool(unknown))
        print(f"opacity {opacity:4.0%}: found {', '.join(told)}")


if __name__ == "__main__":
    main()
