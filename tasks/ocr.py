"""Finds text in a clip with RapidOCR, to drop clips full of captions and slides."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from curate.configs.errors import PackageMissing
from curate.configs.packages import install
from curate.configs.schema import Column, StageOptions
from curate.tasks.borders import inner_box, without_bars
from curate.tasks.stage import Clip, Scorer, Scores
from curate.tasks.text.lines import Line, standing

if TYPE_CHECKING:
    from curate.tasks.models.text_finder import Corners, TextBoxes


class OcrOptions(StageOptions):
    """Options of `ocr`."""

    text_score: float = Field(
        0.5, ge=0, le=1, description="boxes recognised with less confidence are left out"
    )
    frames: Literal[1, 3] = Field(
        3, description="frames that are looked at: the middle one, or also one near each end"
    )
    quick_test: bool = Field(
        True,
        description="text is searched only in frames of which a quick test says that they may have "
        "some; it misses what is smaller than 3 % of the height, or single and faint "
        "(docs/accuracy.md)",
    )


class Ocr(Scorer[OcrOptions]):
    """Text boxes of frames near the middle, the start and the end, at a longer side of 960 pixels.

    One thread; about 0.05 CPU seconds for a frame in which a quick test reads nothing, 0.4 and more
    for one with text. Frames of the ends are small (256 pixels) in samples that an earlier version
    made. With `borders` before it, the frame is the picture inside its bars.
    """

    name = "ocr"
    Options = OcrOptions
    columns = {
        "ocr": Column(
            "text",
            'JSON {"boxes": [[[x, y] x 4], …], "texts": [[text, score], …]}, of the middle frame; '
            "boxes in pixels of the clip as displayed",
        ),
        "num_boxes": Column("int", "text boxes in the middle frame", 0),
        "max_single_percentage": Column(
            "float",
            "area of the largest text box of the middle frame / area of the frame",
            0,
            1,
            better="lower",
        ),
        "total_text_percentage": Column(
            "float",
            "area covered by text boxes of the middle frame, overlaps once / area of the frame",
            0,
            1,
            better="lower",
        ),
        "ocr_frames": Column("int", "frames that were looked at; 1 for an image", 1, 3),
        "ocr_union": Column(
            "text",
            "JSON [[text, frames], …]: each text once, and in how many frames it stands; what "
            "stands longest first",
        ),
        "ocr_longest": Column(
            "text", "the text that stands in most frames, of several the largest; NULL: none"
        ),
        "ocr_longest_share": Column(
            "float", "share of the frames in which it stands; 0 without text", 0, 1, "lower"
        ),
        "union_text_percentage": Column(
            "float", "area covered by text boxes of any frame, overlaps once / area of the frame",
            0, 1, "lower",
        ),
    }  # fmt: skip

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without rapidocr or onnxruntime."""
        for package in ("rapidocr", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise PackageMissing(what="stage ocr", package=package, install=install("rapidocr"))

    def load(self) -> None:
        """Load detector and recogniser; both come with the rapidocr package."""
        from curate.tasks.models.text_finder import TextFinder

        self._finder = TextFinder(self.options.text_score, self.options.quick_test)

    def score(self, clip: Clip) -> Scores:
        """The text boxes, and the share of the frame they cover. Raises SamplesMissing."""
        pictures = clip.samples.large_frames()[: self.options.frames]
        found = [self._finder.find(without_bars(clip, picture)) for picture in pictures]
        middle, texts = found[0], standing(_lines(one) for one in found)
        largest, total = text_areas(middle.boxes)
        left, top, *inner = inner_box(clip)
        return {
            "ocr": as_json(middle, (inner[0], inner[1]), (left, top)),
            "num_boxes": len(middle.boxes),
            "max_single_percentage": largest,
            "total_text_percentage": total,
            "ocr_frames": len(found),
            "ocr_union": json.dumps(
                [[t.best.text, len(t.frames)] for t in texts], ensure_ascii=False
            ),
            "ocr_longest": texts[0].best.text if texts else None,
            "ocr_longest_share": round(len(texts[0].frames) / len(found), 6) if texts else 0.0,
            "union_text_percentage": text_areas([box for one in found for box in one.boxes])[1],
        }


def _lines(found: TextBoxes) -> list[Line]:
    readings = zip(found.texts, found.scores, found.boxes, strict=True)
    return [Line(text, score, text_areas([box])[0]) for text, score, box in readings]


def text_areas(boxes: Sequence[Corners]) -> tuple[float, float]:
    """Shares of a frame, 0 to 1, that the largest box covers and that all boxes cover together.

    Corners are in shares of the frame's sides. Overlaps count once; parts outside the frame do not
    count. A box is the convex hull of its corners.
    """
    import shapely  # type: ignore[import-untyped]  # comes with rapidocr

    frame = shapely.box(0, 0, 1, 1)
    inside = [shapely.intersection(shapely.MultiPoint(box).convex_hull, frame) for box in boxes]
    largest = max((shape.area for shape in inside), default=0.0)
    return min(1.0, float(largest)), min(1.0, float(shapely.union_all(inside).area))


def as_json(found: TextBoxes, size: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> str:
    """The column `ocr`: corners to tenths of a pixel, and scores to thousandths.

    `size` is that of the picture in pixels of the clip, `corner` where it begins there.
    """
    (width, height), (left, top) = size, corner
    return json.dumps(
        {
            "boxes": [
                [[round(left + x * width, 1), round(top + y * height, 1)] for x, y in box]
                for box in found.boxes
            ],
            "texts": [
                [text, round(float(score), 3)]
                for text, score in zip(found.texts, found.scores, strict=True)
            ],
        },
        ensure_ascii=False,
    )
