"""Paintings that look like footage to measures: detail of all sizes, shapes with edges."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray


@cache
def painting(seed: int, size: tuple[int, int] = (640, 400)) -> NDArray[np.uint8]:
    """A gray painting, H x W; `size` is width and height."""
    rng = np.random.default_rng(seed)
    height, width = size[1], size[0]
    total = np.zeros((height, width), np.float32)
    for step in (4, 12, 48):
        coarse = rng.normal(0, 1, (height // step + 2, width // step + 2)).astype(np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * step**0.4
    image = (130 + 40 * total / total.std()).clip(20, 235).astype(np.uint8)
    for _ in range(40):
        x, y, side = (int(rng.integers(limit)) for limit in (width, height, 50))
        cv2.rectangle(image, (x, y), (x + side, y + side // 2), int(rng.integers(20, 235)), -1)
    return image
