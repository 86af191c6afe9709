"""Bicubic resizing as torchvision does it for pictures of bytes, to the last digit.

The published processors of newer models resize on torchvision. It averages when it shrinks, as
Pillow does, but with weights of 16 bits, so that one in some hundred pixels differs by 1 of 255.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUPPORT = 2.0  # pixels on either side, at the scale of the smaller picture
_CURVE = -0.5  # of the cubic
_MOST_BITS = 22  # of a weight behind the point

Pictures = NDArray[np.uint8]


def resize(pictures: Pictures, rows: int, columns: int) -> Pictures:
    """Pictures (n, h, w, 3) as (n, rows, columns, 3)."""
    for axis, size in ((2, columns), (1, rows)):
        if pictures.shape[axis] != size:
            pictures = np.stack([_along(picture, axis - 1, size) for picture in pictures])
    return pictures


def _along(picture: Pictures, axis: int, size: int) -> Pictures:
    """A picture (h, w, 3), resized along one axis."""
    indices, weights, bits = taps(picture.shape[axis], size)
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total: Any = np.int32(1 << (bits - 1))
    for index, weight in zip(indices.T, weights.T, strict=True):
        total = total + picture.take(index, axis).astype(np.int32) * weight.reshape(shape)
    made: Pictures = np.clip(total >> bits, 0, 255).astype(np.uint8)
    return made


def taps(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Which of `before` pixels make each of `after`, by which weights: (after, n) each.

    Weights are whole numbers of 16 bits, of which the last ones, their number is the third value,
    lie behind the point.
    """
    scale = before / after
    widened = max(scale, 1.0)
    centres = scale * (np.arange(after) + 0.5)
    first = np.maximum((centres - _SUPPORT * widened + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + _SUPPORT * widened + 0.5).astype(np.int64), before)
    indices = first[:, None] + np.arange(int((end - first).max()))
    weights = _cubic((indices - centres[:, None] + 0.5) / widened)
    weights[indices >= end[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    bits = 0
    while bits < _MOST_BITS and int(0.5 + weights.max() * (2 << bits)) < 1 << 15:
        bits += 1
    scaled = weights * (1 << bits)
    whole = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int32)
    return np.minimum(indices, before - 1), whole, bits


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of a pixel at a distance from the centre."""
    x = np.abs(x)
    near = ((_CURVE + 2) * x - (_CURVE + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CURVE
    return np.where(x < 1, near, np.where(x < _SUPPORT, far, 0.0))
