"""Bars around the picture: the stage `borders`. Opens no video."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.configs.row_errors import MeasuresMissing
from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions
from curate.tasks.video.box import Box, common_box, cut_to, parse_box

if TYPE_CHECKING:
    from curate.tasks.video.geometry import RGB
    from curate.tasks.video.measures import Bars

BORDER_BOX = "border_box"  # the column by which bars are cut off
_SHAPES = {(True, False): "letterbox", (False, True): "pillarbox", (True, True): "windowbox"}


class Borders(Scorer["Borders.Options"]):
    """Black, coloured or blurred bars around the picture, from the sampled frames.

    A bar is what has one colour along a side, in each of them up to the same straight edge, along
    which the picture begins; a blurred bar has less than 0.7 of the picture's detail, and another
    one of its width on the other side. Frames that are too dark at an edge to show where the
    picture begins do not count, so that neither a fade nor a night is a bar. `split` looks at the
    frames in full size, about one a second, when this stage is in the pipeline. Blurred bars are
    exact to about two pixels, others to one. All columns are NULL when fewer than two frames (of
    an image: its only one) show where the picture begins on a side. Cut the bars off with `cut:
    crop_borders: true`. Hashes of `split`, and the stages behind this one that look at pictures
    (`clip_embed`, `ocr`, `overlay`, `nsfw_image`, `lpips`, …), see what is inside the bars.
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
    box = common_box(frames, width, height)
    if box is None:
        return dict.fromkeys(Borders.columns)
    inner = box[2:]
    shape = _SHAPES.get((inner[1] < height, inner[0] < width), "none")
    kinds = Counter(bars.kind for bars in frames if bars.kind != "none")
    return {
        "border_box": json.dumps(box),
        "border_share": round(1 - inner[0] * inner[1] / (width * height), 6),
        "border_shape": shape,
        "border_kind": kinds.most_common(1)[0][0] if shape != "none" else "none",
    }


def inner_box(clip: Clip) -> Box:
    """The picture of a clip inside its bars, in pixels of the source as displayed.

    All of it where the stage did not run, found no bars, or could not tell. Raises SamplesMissing,
    and ValueError where the box is none.
    """
    text = clip.values.get(BORDER_BOX)
    return parse_box(text) if text else (0, 0, *clip.size)


def without_bars(clip: Clip, picture: RGB) -> RGB:
    """The part of a stored picture of a clip that lies in its `inner_box`, at least one pixel.

    Raises SamplesMissing, and ValueError where the box is none.
    """
    if not clip.values.get(BORDER_BOX):
        return picture
    return cut_to(inner_box(clip), picture, clip.size)
