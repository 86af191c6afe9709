"""Finds text in the middle of a clip with RapidOCR, to drop clips full of captions and slides."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from curate.configs.errors import PackageMissing
from curate.configs.packages import install
from curate.configs.schema import Column, StageOptions
from curate.tasks.stage import Clip, Scorer, Scores

Box = Sequence[tuple[float, float]]  # corners, in pixels

# Longer side, in pixels, of the picture in which text is detected. rapidocr's own rule enlarges the
# shorter side to 736 without bound: a 16x400 strip took 16 s. Small pictures enlarged to 960 give
# as many boxes for a third less CPU.
SIDE = 960


class OcrOptions(StageOptions):
    """Options of `ocr`."""

    text_score: float = Field(
        0.5, ge=0, le=1, description="boxes recognised with less confidence are left out"
    )


class Ocr(Scorer[OcrOptions]):
    """Text boxes of a frame near the middle, at a longer side of 960 pixels.

    One thread, about 0.4 CPU seconds.
    """

    name = "ocr"
    Options = OcrOptions
    columns = {
        "ocr": Column(
            "text",
            'JSON {"boxes": [[[x, y] x 4], …], "texts": [[text, score], …]}; boxes in pixels of '
            "the clip as displayed",
        ),
        "num_boxes": Column("int", "text boxes in the middle frame", 0),
        "max_single_percentage": Column(
            "float", "area of the largest text box / area of the frame", 0, 1, better="lower"
        ),
        "total_text_percentage": Column(
            "float",
            "area covered by text boxes, overlaps once / area of the frame",
            0,
            1,
            better="lower",
        ),
    }

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without rapidocr or onnxruntime."""
        for package in ("rapidocr", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise PackageMissing(what="stage ocr", package=package, install=install("rapidocr"))

    def load(self) -> None:
        """Load detector and recogniser; both come with the rapidocr package."""
        from rapidocr import RapidOCR

        threads = "EngineConfig.onnxruntime.{}_op_num_threads"
        self._engine: Any = RapidOCR(
            params={
                "Global.text_score": self.options.text_score,
                "Global.use_cls": False,
                "Global.log_level": "error",
                "Det.limit_type": "max",
                "Det.limit_side_len": SIDE,
                threads.format("intra"): 1,
                threads.format("inter"): 1,
            }
        )

    def score(self, clip: Clip) -> Scores:
        """The text boxes, and the share of the frame they cover. Raises SamplesMissing."""
        import cv2
        import numpy as np

        frame = clip.samples.large_middle()
        height, width = frame.shape[:2]
        enlarge = SIDE / max(height, width)
        if enlarge > 1:
            width, height = (max(1, round(side * enlarge)) for side in (width, height))
            resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
            frame = resized.astype(np.uint8, copy=False)
        text = self._engine(frame[:, :, ::-1])  # BGR
        corners = [] if text.boxes is None else text.boxes
        boxes = [[(float(x), float(y)) for x, y in box] for box in corners]
        areas = text_areas(boxes, width, height)
        sides = clip.samples.size or (clip["width"] or width, clip["height"] or height)
        scale = sides[0] / width, sides[1] / height
        return {
            "ocr": as_json(boxes, zip(text.txts or (), text.scores or (), strict=True), scale),
            "num_boxes": len(boxes),
            "max_single_percentage": areas[0],
            "total_text_percentage": areas[1],
        }


def text_areas(boxes: Sequence[Box], width: int, height: int) -> tuple[float, float]:
    """Shares of a frame, 0 to 1, that the largest box covers and that all boxes cover together.

    Overlaps count once; parts outside the frame do not count. A box is the convex hull of its
    corners.
    """
    import shapely  # type: ignore[import-untyped]  # comes with rapidocr

    frame = shapely.box(0, 0, width, height)
    inside = [shapely.intersection(shapely.MultiPoint(box).convex_hull, frame) for box in boxes]
    largest = max((shape.area for shape in inside), default=0.0)
    share = 1 / frame.area
    return min(1.0, float(largest * share)), min(1.0, float(shapely.union_all(inside).area * share))


def as_json(boxes: Sequence[Box], texts: Any, scale: tuple[float, float]) -> str:
    """The column `ocr`: corners times `scale`, to tenths of a pixel, and scores to thousandths."""
    return json.dumps(
        {
            "boxes": [
                [[round(x * scale[0], 1), round(y * scale[1], 1)] for x, y in box] for box in boxes
            ],
            "texts": [[text, round(float(score), 3)] for text, score in texts],
        },
        ensure_ascii=False,
    )
