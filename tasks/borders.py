"""Bars around the picture: the stage `borders`. Opens no video."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from curate.configs.errors import MeasuresMissing
from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions

if TYPE_CHECKING:
    from curate.tasks.video.geometry import RGB
    from curate.tasks.video.measures import Bars

BORDER_BOX = "border_box"  # the column by which bars are cut off
ALIKE = 0.8  # share of the frames that show a bar's end, and must show it at the same line
_SHAPES = {(True, False): "letterbox", (False, True): "pillarbox", (True, True): "windowbox"}


class Borders(Scorer["Borders.Options"]):
    """Black, coloured or blurred bars around the picture, from the sampled frames.

    A bar is what has one colour along a side, in each of them up to the same straight edge, along
    which the picture begins; a blurred bar has less than 0.45 of the picture's detail, and another
    one of its width on the other side. Frames that are too dark at an edge to show where the
    picture begins do not count, so that neither a fade nor a night is a bar. `split` looks at the
    frames in full size, about one a second, when this stage is in the pipeline. Blurred bars are
    exact to about two pixels, others to one. All columns are NULL when fewer than two frames (of
    an image: its only one) show where the picture begins on a side. Cut the bars off with `cut:
    crop_borders: true`; hashes, embeddings and text are of the whole picture.
    """

    name = "borders"
    columns = {
        BORDER_BOX: Column(
            "text",
            "JSON [x, y, width, height]: the picture without bars, pixels of the source as "
            "displayed",
        ),
        "border_share": Column("float", "share of the frame that bars cover", 0, 1, "lower"),
        "border_shape": Column(
            "text", "none, letterbox (above or below), pillarbox (beside), windowbox (both)",
            counted=True,
        ),
        "border_kind": Column("text", "none, black, coloured, or blurred", counted=True),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `borders`."""

        batch_size: int = Field(256, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing, MeasuresMissing."""
        frames = [still.bars for still in clip.samples.stills]
        known = [bars for bars in frames if bars is not None]
        if len(known) < len(frames):
            raise MeasuresMissing(stage=self.name)
        return borders(known, *clip.size)


def borders(frames: Sequence[Bars], width: int, height: int) -> Scores:
    """The columns of `borders` by the bars of the frames of a clip of this size."""
    widths = [common(side) for side in zip(*(bars.sides for bars in frames), strict=True)]
    if not widths or None in widths:
        return dict.fromkeys(Borders.columns)
    left, top, right, bottom = (0 if width is None else width for width in widths)
    inner = width - left - right, height - top - bottom
    if min(inner) < 2:
        return dict.fromkeys(Borders.columns)
    shape = _SHAPES.get((top + bottom > 0, left + right > 0), "none")
    kinds = Counter(bars.kind for bars in frames if bars.kind != "none")
    return {
        "border_box": json.dumps([left, top, *inner]),
        "border_share": round(1 - inner[0] * inner[1] / (width * height), 6),
        "border_shape": shape,
        "border_kind": kinds.most_common(1)[0][0] if shape != "none" else "none",
    }


def parse_box(text: str) -> tuple[int, int, int, int]:
    """Left, top, width and height of a value of `border_box`. Raises ValueError."""
    match json.loads(text):
        case [int(x), int(y), int(width), int(height)] if (
            min(x, y) >= 0 and min(width, height) >= 2 and max(x + width, y + height) <= 1 << 16
        ):
            return x, y, width, height
    raise ValueError(f"its border_box is {text!r}")


def without_bars(clip: Clip, picture: RGB) -> RGB:
    """The part of a stored picture of a clip that lies inside its bars, at least one pixel.

    All of it where the stage did not run, found no bars, or could not tell. Raises SamplesMissing,
    and ValueError where the box is none.
    """
    text = clip.values.get(BORDER_BOX)
    if not text:
        return picture
    x, y, width, height = parse_box(text)
    full_width, full_height = clip.size
    rows, columns = picture.shape[:2]
    left, right = ceil(x * columns / full_width), (x + width) * columns // full_width
    top, bottom = ceil(y * rows / full_height), (y + height) * rows // full_height
    inside = picture[top:bottom, left:right]
    return inside if inside.size else picture


def common(values: Sequence[int | None]) -> int | None:
    """The width of a bar that nearly all frames agree on; 0: there is none; None: who knows."""
    known = [value for value in values if value is not None]
    if not known or len(known) < min(2, len(values)):
        return None
    width = Counter(known).most_common(1)[0][0]
    return width if sum(abs(v - width) <= 2 for v in known) >= ALIKE * len(known) else 0
