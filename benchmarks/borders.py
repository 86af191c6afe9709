"""How often `borders` finds blurred bars drawn around real footage, exact to 2 pixels.

    python -m benchmarks.borders [FOLDER] [--sigmas 6,14,30]

FOLDER holds the files of benchmarks/films.py. Four or five frames of each piece are put in the
middle of an enlarged copy of themselves, which is blurred by so many pixels and, once more, dimmed
to 0.6, and coded as JPEG: pillars and letterboxes in six shapes. A line for each piece and each
blur; then how many pictures without bars have some: parts of the same frames, once and twice as
large.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.films import PIECES
from curate.tasks.borders import borders
from curate.tasks.video.bars import blurred_bars, find_bars, maybe_bars
from curate.tasks.video.measures import Bars

Gray = NDArray[np.uint8]
# width and height of the whole, and of the picture in its middle
SHAPES = [
    ((640, 360), (270, 360)), ((640, 360), (202, 360)), ((640, 360), (480, 360)),
    ((640, 360), (361, 360)), ((360, 640), (360, 270)), ((1280, 720), (406, 720)),
]  # fmt: skip
PARTS = [(0, 1, 0, 1), (0, 1, 0.3, 0.7), (0.2, 0.8, 0.2, 0.8), (0, 0.6, 0, 0.6), (0.3, 0.7, 0, 1)]


def pieces(folder: Path) -> Iterator[tuple[str, list[Gray]]]:
    """Each piece: its name, and four or five frames of it, gray, without its black bars."""
    for name, (height, spans) in PIECES.items():
        for first, count in spans if (folder / name).is_file() else ():
            with av.open(str(folder / name)) as container:
                frames = list(islice(container.decode(video=0), first, first + count))
            whole = [f.to_ndarray(format="gray8") for f in frames[:: max(1, count // 4)]]
            cut = round(len(whole[0]) * (1 - height) / 2)
            yield f"{name} {first}", [gray[cut : len(gray) - cut] for gray in whole]


def filling(picture: Gray, size: tuple[int, int]) -> Gray:
    """The middle of a picture, scaled to fill a size: width and height."""
    scale = max(side / had for side, had in zip(size, picture.shape[::-1], strict=True))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(picture, None, fx=scale + 0.01, fy=scale + 0.01, interpolation=how)
    top, left = ((had - side) // 2 for had, side in zip(large.shape, size[::-1], strict=True))
    return large[top : top + size[1], left : left + size[0]].astype(np.uint8)


def drawn(frame: Gray, shape: tuple[tuple[int, int], ...], sigma: float, light: float) -> Gray:
    """A frame between blurred bars."""
    (width, height), (wide, high) = shape
    picture = filling(frame, (wide, high))
    blurred = cv2.GaussianBlur(filling(picture, (width, height)), (0, 0), sigma * height / 360)
    whole = (blurred * light).astype(np.uint8)
    left, top = (width - wide) // 2, (height - high) // 2
    whole[top : top + high, left : left + wide] = picture
    _, jpeg = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)


def bars(gray: Gray) -> Bars:
    """The bars of a frame as `split` measures them."""
    scale = min(1.0, 256 / min(gray.shape))
    small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if not maybe_bars(small.astype(np.uint8)):
        return Bars(0, 0, 0, 0)
    return find_bars(gray, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB).astype(np.uint8))


def is_exact(frames: list[Gray], shape: tuple[tuple[int, int], ...]) -> bool:
    """Whether the box of some frames is the one that was drawn."""
    (width, height), (wide, high) = shape
    told = borders([bars(frame) for frame in frames], width, height)
    if told["border_kind"] != "blurred":
        return False
    x, y, w, h = json.loads(str(told["border_box"]))
    left, top = (width - wide) // 2, (height - high) // 2
    apart = np.subtract((x, y, x + w, y + h), (left, top, left + wide, top + high))
    return bool(np.abs(apart).max() <= 2)


def main() -> None:
    """Draw the bars and print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/videos"))
    parser.add_argument("--sigmas", default="6,14,30")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    right: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    false = bare = 0
    for name, frames in pieces(asked.folder):
        blurs = [(float(sigma), 1.0) for sigma in asked.sigmas.split(",")] + [(14.0, 0.6)]
        for sigma, light in blurs:
            for shape in SHAPES:
                found = is_exact([drawn(f, shape, sigma, light) for f in frames], shape)
                for of in (name, f"blur of {sigma:g}, light {light:g}", "all"):
                    cases[of] += 1
                    right[of] += found
        for top, bottom, left, right_side in PARTS:
            for frame in frames:
                high, wide = frame.shape
                part = frame[
                    int(high * top) : int(high * bottom), int(wide * left) : int(wide * right_side)
                ]
                for scale in (1, 2):
                    large = cv2.resize(part, None, fx=scale, fy=scale).astype(np.uint8)
                    found_bars = [blurred_bars(np.rot90(large, turn)) for turn in (0, 1)]
                    false += any(ends and any(ends) for ends in found_bars)
                    bare += 1
    for of, number in cases.items():
        print(f"{of:30} {right[of]:3} of {number}")
    print(f"without bars: {false} of {bare} have some")


if __name__ == "__main__":
    main()
