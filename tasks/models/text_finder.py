"""Text in pictures by RapidOCR, with a quick test by its own detector on a small picture first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.geometry import RGB

# Longer side, in pixels, of the picture in which text is detected. rapidocr's own rule enlarges the
# shorter side to 736 without bound: a 16x400 strip took 16 s. Small pictures enlarged to 960 give
# as many boxes for a third less CPU.
SIDE = 960
QUICK_SIDE = 320  # the same, of the quick test: a ninth of the CPU
_MAYBE = 0.1  # probability of text on the small picture from which a place is looked at closely
_PLACES = 3  # most of them
_CERTAIN = 0.45  # the same, from which all of a large place is looked at: large letters are plain
_WINDOW = 288, 96  # width and height that are looked at there, in pixels of the large picture
_AROUND = 32  # pixels around letters that are larger
_STEP = 32  # sides of what the detector sees are multiples of it

Corners = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class TextBoxes:
    """The text boxes of a picture: corners in shares of its width and height, texts, scores."""

    boxes: Sequence[Corners] = ()
    texts: Sequence[str] = ()
    scores: Sequence[float] = ()


class TextFinder:
    """RapidOCR with one thread; its networks come with the package.

    `text_score`: boxes recognised with less confidence are left out. `quick_test`: pictures that do
    not look like text at a longer side of 320 pixels are not searched.
    """

    def __init__(self, text_score: float, quick_test: bool) -> None:
        from rapidocr import RapidOCR

        threads = "EngineConfig.onnxruntime.{}_op_num_threads"
        self._engine: Any = RapidOCR(
            params={
                "Global.text_score": text_score,
                "Global.use_cls": False,
                "Global.log_level": "error",
                "Det.limit_type": "max",
                "Det.limit_side_len": SIDE,
                threads.format("intra"): 1,
                threads.format("inter"): 1,
            }
        )
        self._engine(np.zeros((64, 64, 3), np.uint8))  # it loads its detector at the first picture
        self._quick_test = quick_test
        if quick_test:  # by parts of rapidocr that another version may name otherwise
            self._heat(np.zeros((_STEP, _STEP, 3), np.uint8))

    def find(self, picture: RGB) -> TextBoxes:
        """The text of a picture, enlarged to a longer side of 960 pixels if it is smaller."""
        picture = fitted(picture, SIDE, enlarge=True)
        if self._quick_test and not self.may_show_text(picture):
            return TextBoxes()
        text = self._engine(picture[:, :, ::-1])  # BGR
        if text.boxes is None or not text.txts:
            return TextBoxes()
        height, width = picture.shape[:2]
        boxes = [[(float(x) / width, float(y) / height) for x, y in box] for box in text.boxes]
        return TextBoxes(boxes, text.txts, text.scores)

    def may_show_text(self, picture: RGB) -> bool:
        """Whether text is read where the detector sees some on a small form of a large picture."""
        return any(self._engine(place[:, :, ::-1]).txts for place in self._places(picture))

    def _places(self, picture: RGB) -> Iterator[RGB]:
        """What a picture shows where there may be text, where it is likeliest first."""
        heat = self._heat(fitted(picture, QUICK_SIDE))
        near = cv2.dilate((heat > _MAYBE).astype(np.uint8), np.ones((5, 9), np.uint8))
        count, labels, groups, _ = cv2.connectedComponentsWithStats(near)
        inside = [np.where(labels == number, heat, 0) for number in range(1, count)]
        across, along = picture.shape[1] / heat.shape[1], picture.shape[0] / heat.shape[0]
        for number in sorted(range(count - 1), key=lambda n: -float(inside[n].max()))[:_PLACES]:
            row, column = np.unravel_index(inside[number].argmax(), heat.shape)
            certain = inside[number][row, column] >= _CERTAIN
            yield cut(picture, (int(column * across), int(row * along)), _WINDOW)
            x, y, wide, high, _ = groups[number + 1]
            # the window may hold a part of a letter only
            if certain and high * along > _WINDOW[1] / 2:
                middle = int((x + wide / 2) * across), int((y + high / 2) * along)
                sides = int(wide * across) + 2 * _AROUND, int(high * along) + 2 * _AROUND
                yield fitted(cut(picture, middle, sides), QUICK_SIDE)

    def _heat(self, picture: RGB) -> NDArray[np.float32]:
        """The detector's probability of text at each pixel of a picture, scaled to its step."""
        height, width = (max(_STEP, round(side / _STEP) * _STEP) for side in picture.shape[:2])
        detector = self._engine.text_det
        scaled = cv2.resize(picture, (width, height))[:, :, ::-1].astype(np.float32) / 255
        mean, deviation = (
            np.array([0.5] * 3 if value is None else value, np.float32)
            for value in (detector.mean, detector.std)
        )
        seen = ((scaled - mean) / deviation).transpose(2, 0, 1)[None]
        heat: NDArray[np.float32] = detector.session(np.ascontiguousarray(seen))[0, 0]
        return heat


def cut(picture: RGB, point: tuple[int, int], size: tuple[int, int]) -> RGB:
    """What a picture shows around a point (x, y), at most `size`: width and height."""
    left, top = (max(0, at - side // 2) for at, side in zip(point, size, strict=True))
    return picture[top : top + size[1], left : left + size[0]]


def fitted(picture: RGB, side: int, enlarge: bool = False) -> RGB:
    """The picture with a longer side of at most `side` pixels; with `enlarge`, of just so many."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale == 1 or (scale > 1 and not enlarge):
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=how).astype(np.uint8, copy=False)
