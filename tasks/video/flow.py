"""Measures motion between frames, and brightness and sharpness of frames, on small pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.camera_fit import camera_move
from curate.tasks.video.measures import CameraMove, Pair, Still

Gray = NDArray[np.uint8]

_STANDS = CameraMove(follows=1.0)
LONG = 1.0  # seconds; a frame shown for longer stands still until so long before the next one


def measure_pair(
    before: Gray, after: Gray, seconds: float, gap: float, camera: bool = False
) -> Pair:
    """Motion from the frame `before` to the frame `after`, which is shown at `seconds`.

    Both are the luma (ITU-R 601), 0 to 255. `gap` is the time between them in seconds. flow = 100 *
    mean over pixels of |DIS displacement| / diagonal / gap: percent of the picture's diagonal moved
    a second, so that neither resolution nor frame rate matters. change = mean absolute difference
    of the luma, 0 to 255. Pictures have a long side of about 256 pixels; one with a side below 32
    has no flow. `camera`: the motion of the camera is measured too.
    """
    change = float(cv2.norm(before, after, cv2.NORM_L1)) / before.size
    mean = (cv2.sumElems(after)[0] - cv2.sumElems(before)[0]) / before.size
    square = cv2.norm(before, after, cv2.NORM_L2SQR) / before.size
    deviation = round(math.sqrt(max(0.0, square - mean * mean)), 6)
    if min(before.shape) < 32:  # OpenCV 4.11's DIS reads beyond its memory, and may crash
        return Pair(seconds, gap, None, change, CameraMove() if camera else None, deviation)
    if change == 0.0:
        return Pair(seconds, gap, 0.0, change, _STANDS if camera else None, deviation)
    dis, across, along, length = _kept(before.shape)
    field: NDArray[Any] = dis.calc(before, after, cast(Any, None))
    cv2.split(field, [across, along])
    moved = float(cv2.mean(cv2.magnitude(across, along, length))[0])
    # rounded, because sums of floats depend on their alignment in memory
    flow = round(100 * moved / math.hypot(*before.shape) / gap, 6)
    move = camera_move(field, before, after, gap) if camera else None
    return Pair(seconds, gap, flow, change, move, deviation)


@lru_cache(maxsize=4)
def _kept(shape: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """What finds the motion in pictures of this shape, and three arrays of it to be filled.

    One of each shape: DIS keeps to the finer scale of a small picture that it has seen.
    """
    across, along, length = (np.empty(shape, np.float32) for _ in range(3))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    return dis, across, along, length


def with_held(
    pairs: Iterable[Pair], held: Iterable[tuple[float, float]], camera: bool = False
) -> list[Pair]:
    """The pairs of a clip, with one for each frame that is shown for longer than LONG.

    `held` are the seconds from which and until which such frames are shown. Each is paired with
    itself, LONG before its end; a pair that begins with it counts as LONG apart. So a screen that
    was recorded only when it changed is measured like one of which each frame was recorded.
    `camera` is as in `measure_pair`.
    """
    move = _STANDS if camera else None
    made = [Pair(end - LONG, end - LONG - start, 0.0, 0.0, move, 0.0) for start, end in held]
    for pair in pairs:
        if pair.gap <= LONG:
            made.append(pair)
        else:
            flow = None if pair.flow is None else round(pair.flow * pair.gap / LONG, 6)
            move = pair.camera and pair.camera.times(pair.gap / LONG)
            made.append(replace(pair, gap=LONG, flow=flow, camera=move))
    return sorted(made, key=lambda pair: pair.seconds)


def measure_still(picture: NDArray[np.uint8], seconds: float) -> Still:
    """Measures of one small upright RGB picture shown at `seconds` of its clip.

    mean and deviation are those of its luma (ITU-R 601); sharpness is the variance of the Laplacian
    (4 neighbours) of the luma.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(gray)
    edges = cv2.Laplacian(gray, cv2.CV_16S)
    spread = cv2.norm(edges, cv2.NORM_L2SQR) / edges.size
    sharpness = max(0.0, spread - (cv2.sumElems(edges)[0] / edges.size) ** 2)
    return Still(seconds, float(mean[0][0]), float(deviation[0][0]), sharpness)
