"""How many false cuts `split` with `stitch` mends, and whether it removes true ones.

python benchmarks/stitch.py [--repeats 5]

Draws videos of a camera that looks at painted scenes: with flashes, drop-outs, whip pans, and cuts
between scenes of other and of the same colours. A line for each kind and detector: the cuts drawn,
how many of them are found and how many others, without and with `stitch`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tests.media import CLOSED, write_video

from curate.configs.settings import Settings
from curate.tasks.split import Split
from curate.tasks.stage import Context, Video

Image = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 180
NEAR = 3  # frames by which a cut may be off: a flash hides the very frame


@cache
def scene(seed: int, hue: int | None = None) -> Image:
    """A painting four times as wide as a picture: ground, blobs and shapes of all sizes."""
    rng = np.random.default_rng(seed)
    size = (HEIGHT * 2, WIDTH * 4)
    hsv = np.empty((*size, 3), np.float32)
    base = rng.integers(0, 180) if hue is None else hue
    for channel, (middle, spread) in enumerate(((base, 18), (120, 60), (130, 55))):
        noise = sum(
            cv2.resize(
                rng.normal(0, 1, (size[0] // step, size[1] // step)).astype(np.float32),
                size[::-1],
                interpolation=cv2.INTER_CUBIC,
            )
            * step**0.5
            for step in (6, 20, 60)
        )
        hsv[..., channel] = middle + spread * noise / np.std(noise)
    hsv[..., 0] %= 180
    hsv[..., 1:] = np.clip(hsv[..., 1:], 10, 245)
    image = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    for _ in range(40):
        x, y = int(rng.integers(size[1])), int(rng.integers(size[0]))
        ink = tuple(int(v) for v in rng.integers(0, 256, 3))
        side = int(rng.integers(8, 60))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), side // 2, ink, -1)
        else:
            cv2.rectangle(image, (x, y), (x + side, y + side // 2), ink, -1)
    return image.astype(np.uint8)


def view(painting: Image, x: float, y: float = 60, speed: float = 0.0) -> Image:
    """What the camera sees at a place; a fast one blurs."""
    steps = max(1, int(abs(speed) / 8))
    places = [x + speed * (n / steps - 0.5) * 0.5 for n in range(steps)]
    seen = [
        cv2.getRectSubPix(painting, (WIDTH, HEIGHT), (p % (WIDTH * 3) + WIDTH / 2, y + HEIGHT / 2))
        for p in places
    ]
    return np.mean(seen, axis=0).astype(np.uint8)


def shot(seed: int, count: int, hue: int | None = None, begin: float = 0.0) -> list[Image]:
    """A slow pan over a scene."""
    painting = scene(seed, hue)
    return [view(painting, begin + 1.5 * n) for n in range(count)]


def flash(frames: list[Image], at: int, count: int, strength: float) -> list[Image]:
    """The frames with a flash: towards white, or below 0 towards black."""
    lit = list(frames)
    for n in range(at, at + count):
        goal, share = (255 if strength > 0 else 0), abs(strength)
        lit[n] = (frames[n] * (1 - share) + goal * share).astype(np.uint8)
    return lit


def whip(seed: int, speed: float, count: int) -> list[Image]:
    """A slow pan, a very fast one of so many pixels a frame, and a slow one elsewhere."""
    painting = scene(seed)
    speeds = [1.5] * 40 + [speed * min(1, (n + 1) / 2, (count - n) / 2) for n in range(count)]
    x, frames = 0.0, []
    for step in speeds + [1.5] * 40:
        frames.append(view(painting, x, speed=step))
        x += step
    return frames


def pair(seed: int, hue: int | None = None) -> list[Image]:
    """Two shots of 48 frames."""
    return shot(seed, 48, hue) + shot(seed + 1000, 48, hue)


def insert(seed: int) -> list[Image]:
    """A shot, nine frames of another, and the first one again."""
    return [*shot(seed, 44), *shot(seed + 1000, 9), *shot(seed, 40)]


def panned_cut(seed: int) -> list[Image]:
    """A whip pan that begins in one scene and ends in another."""
    return whip(seed, WIDTH * 0.4, 6)[:43] + whip(seed + 1000, WIDTH * 0.4, 6)[43:]


# by kind: the frames of a seed, and where new scenes begin
KINDS: dict[str, tuple[Callable[[int], list[Image]], tuple[int, ...]]] = {
    "flash of 1 frame": (lambda seed: flash(shot(seed, 70), 30, 1, 1.0), ()),
    "flash of 3 frames": (lambda seed: flash(shot(seed, 70), 30, 3, 0.95), ()),
    "flash of 8 frames": (lambda seed: flash(shot(seed, 70), 30, 8, 0.9), ()),
    "glare": (lambda seed: flash(shot(seed, 70), 30, 4, 0.6), ()),
    "drop-out": (lambda seed: flash(shot(seed, 70), 30, 3, -1.0), ()),
    "whip pan, 15 %": (lambda seed: whip(seed, WIDTH * 0.15, 8), ()),
    "whip pan, 30 %": (lambda seed: whip(seed, WIDTH * 0.3, 6), ()),
    "whip pan, 45 %": (lambda seed: whip(seed, WIDTH * 0.45, 6), ()),
    "cut": (pair, (48,)),
    "cut to the same colours": (lambda seed: pair(seed, 60), (48,)),
    "flash at a cut": (lambda seed: flash(pair(seed), 46, 4, 1.0), (48,)),
    "flash near a cut": (lambda seed: flash(pair(seed), 24, 3, 0.95), (48,)),
    "cut in a whip pan": (panned_cut, (43,)),
    "insert of 9 frames": (insert, (44, 53)),
    "shots of 20 frames": (
        lambda seed: [frame for n in range(5) for frame in shot(seed + n, 20)],
        (20, 40, 60, 80),
    ),
}


def found_cuts(frames: list[Image], folder: Path, **options: Any) -> list[int]:
    """The frames at which split begins a clip, but for the first."""
    path = write_video(folder / "a.mp4", frames, CLOSED)
    stage = Split(Split.Options(min_seconds=0, **options), Context(Settings(home=folder)))
    clips = stage.run(Video(1, 1, str(path), path.name, {})).clips
    return [int(str(clip.scores["start_frame"])) for clip in clips][1:]


def tally(cuts: tuple[int, ...], found: list[int]) -> tuple[int, int]:
    """How many of the true cuts are found, and how many others."""
    right = {cut for cut in cuts if any(abs(cut - one) <= NEAR for one in found)}
    others = [one for one in found if all(abs(cut - one) > NEAR for cut in cuts)]
    return len(right), len(others)


def main() -> None:
    """Print a line for each detector and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("detector  kind                      true  found  stitched   false  stitched")
    for detector in ("adaptive", "content"):
        totals: dict[str, list[int]] = {}
        for seed in range(repeats):
            for kind, (draw, cuts) in KINDS.items():
                total = totals.setdefault(kind, [0] * 5)
                frames, counts = draw(seed), [len(cuts)]
                for stitch in (False, True):
                    with tempfile.TemporaryDirectory() as folder:
                        options = {"detector": detector, "stitch": stitch}
                        found = found_cuts(frames, Path(folder), **options)
                        counts += tally(cuts, found)
                for place, count in enumerate(counts):
                    total[place] += count
        for kind, (true, right, wrong, still_right, still_wrong) in totals.items():
            of_true = f"{true:4} {right:6} {still_right:9}"
            print(f"{detector:9} {kind:25} {of_true} {wrong:7} {still_wrong:9}")


if __name__ == "__main__":
    main()
