"""The motion of the camera between two frames: a similarity that most of the picture follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.measures import CameraMove

Gray = NDArray[np.uint8]
Flow = NDArray[np.float32]  # H x W x 2: pixels that each pixel moves by

CELL = 8  # pixels: one vector of the flow in each square of so many
_TEXTURED = 16.0  # variance of the luma in a cell, from which its flow is believed
_FEWEST = 12  # cells, with texture and with one motion
_TOLERANCE = 0.4  # pixels by which a cell that follows the camera may be off
_EVERY = 3  # of so many pixels of a cell one is enough for the refinement
_ROUNDS = 3


@dataclass(frozen=True)
class _Similarity:
    """x -> x + (grow * x - turn * y + right), y -> y + (turn * x + grow * y + down), pixels from
    the centre of the picture.
    """

    grow: float = 0.0
    turn: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def moved(self, x: Any, y: Any) -> tuple[Any, Any]:
        """How far it moves the points."""
        right = self.grow * x - self.turn * y + self.right
        return right, self.turn * x + self.grow * y + self.down


def camera_move(flow: Flow, before: Gray, after: Gray, gap: float) -> CameraMove:
    """The motion of the camera from the frame `before` to `after`, `gap` seconds later.

    `flow` is the optical flow between the two. OpenCV's RANSAC finds the similarity that most cells
    with texture follow, to 0.4 pixels; Gauss-Newton steps on the luma of these cells refine it,
    because flow is too short where it is under half a pixel. Without texture, nothing is fitted.
    """
    height, width = before.shape
    y, x = np.mgrid[CELL // 2 : height : CELL, CELL // 2 : width : CELL]
    y, x = (grid[: height // CELL, : width // CELL] for grid in (y, x))
    textured = _variance(before, x.shape) > _TEXTURED
    y, x = y[textured], x[textured]
    if len(x) < _FEWEST:
        return CameraMove()
    vectors = flow[y, x].astype(np.float64)
    points = np.stack([x - (width - 1) / 2, y - (height - 1) / 2], 1)
    matrix, inliers = cv2.estimateAffinePartial2D(
        points, points + vectors, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE,
        maxIters=200, confidence=0.99, refineIters=2,
    )  # fmt: skip
    if matrix is None or inliers.sum() < _FEWEST:
        return CameraMove()
    found = _Similarity(matrix[0, 0] - 1, matrix[1, 0], matrix[0, 2], matrix[1, 2])
    following = np.zeros(textured.shape, np.uint8)
    following[textured] = inliers[:, 0]
    found = _refined(found, before, after, following)
    rest = np.hypot(*(vectors.T - found.moved(*points.T)))
    return CameraMove(
        pan=round(-found.right / width / gap, 6),
        tilt=round(found.down / width / gap, 6),
        zoom=round(math.log(math.hypot(1 + found.grow, found.turn)) / gap, 6),
        roll=round(-math.degrees(math.atan2(found.turn, 1 + found.grow)) / gap, 6),
        rest=round(100 * float(rest.mean()) / math.hypot(width, height) / gap, 6),
        follows=round(float(inliers.mean()), 6),
    )


def _variance(gray: Gray, cells: tuple[int, ...]) -> NDArray[np.float32]:
    """The variance of the luma within each cell."""
    rows, columns = cells
    whole = gray[: rows * CELL, : columns * CELL].astype(np.float32)
    size, area = (columns, rows), cv2.INTER_AREA
    mean = cv2.resize(whole, size, interpolation=area)
    return cv2.resize(whole * whole, size, interpolation=area) - mean * mean


def _refined(
    start: _Similarity, before: Gray, after: Gray, following: NDArray[np.uint8]
) -> _Similarity:
    """The similarity by which the luma of the cells that follow it agrees best."""
    height, width = before.shape
    rows, columns = np.nonzero(following)
    corner_y, corner_x = (grid.ravel() for grid in np.mgrid[1:CELL:_EVERY, 1:CELL:_EVERY])
    row = (rows[:, None] * CELL + corner_y).ravel()
    column = (columns[:, None] * CELL + corner_x).ravel()
    slope_x = cv2.Sobel(before, cv2.CV_16S, 1, 0)[row, column].astype(np.float32) / 8
    slope_y = cv2.Sobel(before, cv2.CV_16S, 0, 1)[row, column].astype(np.float32) / 8
    values, second = before[row, column].astype(np.float32), after.astype(np.float32)
    x = (column - (width - 1) / 2).astype(np.float32)
    y = (row - (height - 1) / 2).astype(np.float32)
    # how the luma changes with each of the four numbers
    changes = np.stack([slope_x * x + slope_y * y, slope_y * x - slope_x * y, slope_x, slope_y])
    found = start
    for _ in range(_ROUNDS):
        right, down = found.moved(x, y)
        at_x, at_y = (column + right).astype(np.float32), (row + down).astype(np.float32)
        seen = cv2.remap(second, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        off = seen.ravel() - values
        spread = 2.0 * float(np.median(np.abs(off))) + 0.5
        weighted = changes / (1 + (off / spread) ** 2) ** 2
        step, *_ = np.linalg.lstsq(weighted @ changes.T, -weighted @ off, rcond=1e-6)
        numbers = (found.grow, found.turn, found.right, found.down)
        found = _Similarity(*(float(a + b) for a, b in zip(numbers, step, strict=True)))
    # it mends fractions of a pixel; where it goes far, it has lost the picture
    ends = [one.moved(width / 2, height / 2) for one in (start, found)]
    return found if math.dist(*ends) < 2 * _TOLERANCE + 0.1 * math.hypot(*ends[0]) else start
