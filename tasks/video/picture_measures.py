"""Colour and detail of one picture."""

from __future__ import annotations

import math

import cv2
import numpy as np

from curate.tasks.video.geometry import RGB


def colourfulness(picture: RGB) -> float:
    """The M3 of Hasler & Suesstrunk 2003 of an RGB picture; 0 is gray."""
    red, green, blue = (picture[..., n].astype(np.float32) for n in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = math.sqrt(float(across.var(dtype=np.float64) + along.var(dtype=np.float64)))
    distance = math.hypot(float(across.mean(dtype=float)), float(along.mean(dtype=float)))
    return spread + 0.3 * distance


def spatial_information(picture: RGB) -> float:
    """SI of ITU-T P.910 of an RGB picture: how much its slopes vary; 0 for under 3 pixels.

    The border of one pixel, which has no neighbours outside, is left out as there.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    slopes = [cv2.Sobel(gray, cv2.CV_32F, *axis)[1:-1, 1:-1] for axis in ((1, 0), (0, 1))]
    return float(cv2.magnitude(*slopes).std(dtype=np.float64)) if min(slopes[0].shape) else 0.0
