"""Draws the pictures of test videos: each carries its frame number as a bar code that survives
encoding.

The top eighth of a picture holds the code, the rest is footage. `frame_number` reads the code back,
at any size, so that a test can prove which source frame is at which place of a cut file.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Style = Literal["moving", "static", "black", "white", "noise", "blurred", "text"]

TEXT = "CURATE 2026"  # what the style "text" shows

_HUES = [
    (200, 60, 50),
    (50, 180, 60),
    (50, 80, 210),
    (210, 200, 60),
    (180, 60, 190),
    (60, 200, 200),
]
_BITS = 11  # numbers 0 to 2047, in Gray code so that neighbours differ in one cell only
_CELLS = _BITS + 3  # a white and a black cell to compare with, the bits, one parity cell


class NoNumberError(ValueError):
    """The picture carries no readable frame number."""


def frame_number(image: NDArray[Any]) -> int:
    """The number drawn into an upright picture (H x W or H x W x 3). Raises NoNumberError."""
    luma = image.mean(axis=2) if image.ndim == 3 else image
    height, width = luma.shape
    rows = luma[height // 40 : max(height // 8 - height // 40, height // 40 + 1)].mean(axis=0)
    edges = [round(i * width / _CELLS) for i in range(_CELLS + 1)]
    cells = [
        float(rows[a + (b - a) // 4 : b - (b - a) // 4].mean())
        for a, b in itertools.pairwise(edges)
    ]
    white, black = cells[0], cells[1]
    if white - black < 60:
        raise NoNumberError(f"calibration cells are {white:.0f} and {black:.0f}")
    bits = [cell > (white + black) / 2 for cell in cells[2:]]
    if sum(bits) % 2:
        raise NoNumberError(f"parity is wrong: {bits}")
    gray = sum(bit << i for i, bit in enumerate(bits[:_BITS]))
    return _from_gray(gray)


def _from_gray(gray: int) -> int:
    number = 0
    while gray:
        number ^= gray
        gray >>= 1
    return number


def _draw_number(image: Image, number: int) -> None:
    height, width = image.shape[:2]
    gray = number ^ (number >> 1)
    bits = [gray >> i & 1 for i in range(_BITS)]
    cells = [1, 0, *bits, sum(bits) % 2]
    for i, cell in enumerate(cells):
        start, end = round(i * width / _CELLS), round((i + 1) * width / _CELLS)
        image[: height // 8, start:end] = 235 if cell else 16


@cache
def _texture(seed: int, height: int, width: int) -> Image:
    """Blocks of one hue family per seed: scenes differ in colour, not only in detail."""
    rng = np.random.default_rng(seed)
    hue = np.array(_HUES[seed % len(_HUES)])
    coarse = np.clip(rng.integers(-45, 45, size=(height // 8 + 1, width // 8 + 1, 1)) + hue, 0, 255)
    image: Image = coarse.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return image


def picture(
    number: int,
    *,
    scene: int = 0,
    size: tuple[int, int] = (160, 96),
    style: Style = "moving",
    speed: int = 2,
) -> Image:
    """One RGB frame of a scene; `speed` is the pixels that moving footage goes to the right each
    frame.
    """
    width, height = size
    body = _body(number, scene, width, height, style, speed)
    image: Image = np.ascontiguousarray(body)
    if style not in ("black", "white"):
        _draw_number(image, number)
    return image


def _body(number: int, scene: int, width: int, height: int, style: Style, speed: int) -> Image:
    import cv2

    if style in ("black", "white"):
        return np.full((height, width, 3), 0 if style == "black" else 255, np.uint8)
    if style == "noise":
        return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    texture = _texture(scene, height, width).copy()
    if style == "moving":
        texture = np.roll(texture, number * speed, axis=1)
    if style == "blurred":
        texture = np.asarray(cv2.GaussianBlur(texture, (0, 0), height / 12), np.uint8)
    if style == "text":
        texture = np.full_like(texture, 230)
        where, ink, thickness = (width // 20, height * 2 // 3), (10, 10, 10), max(1, width // 160)
        cv2.putText(
            texture, TEXT, where, cv2.FONT_HERSHEY_SIMPLEX, width / 240, ink, thickness, cv2.LINE_AA
        )
    return texture


def footage(count: int, cuts: Sequence[int] = (), **look: Any) -> list[Image]:
    """Frames 0 to count - 1, with a new scene at each frame of `cuts`."""
    return [picture(i, scene=sum(i >= c for c in cuts), **look) for i in range(count)]
