"""Prepares pictures for networks.

For CLIP it is the published preprocessing of OpenAI's ViT-L/14: the shorter side is resized to 224
by bicubic interpolation (Pillow's, which averages when it shrinks), the middle 224 x 224 is scaled
to 0 to 1 and normalised by the mean and deviation of CLIP's training pictures. As Hugging Face's
CLIPImageProcessor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Preprocess:
    """The side of the square in pixels, and mean and deviation of red, green and blue, 0 to 1."""

    side: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    deviation: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


CLIP = Preprocess()
_LARGEST = 1 << 24  # pixels


def pixels(frame: NDArray[np.uint8], spec: Preprocess = CLIP) -> NDArray[np.float32]:
    """A picture (h, w, 3; RGB, 0 to 255) as (3, side, side), normalised."""
    square = middle(frame, spec.side).astype(np.float32) * np.float32(1 / 255)
    normal = (square - np.array(spec.mean, np.float32)) / np.array(spec.deviation, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def middle(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle square (side, side, 3) of a picture resized to `side` pixels on its shorter side.

    If the resized picture would have more than 2^24 pixels, only the square is computed; a few of
    its values may then differ by 1 of 255.
    """
    height, width = frame.shape[:2]
    shorter = min(height, width)
    if height == shorter:
        rows, columns = side, int(side * width / height)
    else:
        rows, columns = int(side * height / width), side
    top, left = (rows - side) // 2, (columns - side) // 2
    picture = Image.fromarray(frame)
    if rows * columns > _LARGEST:
        down, across = height / rows, width / columns  # pixels of the picture in one of the square
        right, bottom = min(width, (left + side) * across), min(height, (top + side) * down)
        box = (left * across, top * down, right, bottom)
        return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box))
    resized = np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC))
    return resized[top : top + side, left : left + side]


def squeezed(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The whole picture as a square (side, side, 3), regardless of its aspect ratio."""
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))
