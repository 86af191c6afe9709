"""What stands still while the picture moves: the stage `overlay`. Opens no video."""

from __future__ import annotations

import json

from curate.configs.schema import Column
from curate.tasks.borders import inner_box, without_bars
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions

MOST = 64  # pictures of a clip that are looked at
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


class Overlay(Scorer["Overlay.Options"]):
    """Logos, watermarks and bands that stand still before a picture that moves.

    The median over time of the slopes of the luma at a place, on up to 64 stored pictures, is that
    of what stands there (Dekel et al. 2017); it counts where it is over 3 standard errors in a
    window of 11 pixels and goes both across and along. NULL where it cannot be told: fewer than 5
    pictures, more than 0.25 of the detail stands still, or `camera` before it says static. Of
    drawn marks at 10 % opacity 0.58 to 0.77 are found, at 20 % 0.79 to 0.92, at 3 % hardly one; 2
    of 100 clips without a mark have one, too (benchmarks/overlay.py, seeds 1 to 5). Of digits and
    words that change, what stays counts. Where neighbouring pictures agree better than those far
    apart, as around the middle of a zoom or before a camera that hardly moves, nothing counts, nor
    does a mark that goes in the middle of the clip. What lies in bars does not count: with
    `borders` before it, all is of the picture inside them.
    """

    name = "overlay"
    columns = {
        "overlay_share": Column(
            "float", "share of the picture that marks cover, with gaps of 9 pixels closed; 0: none",
            0, 1, "lower",
        ),
        "overlay_place": Column(
            "text",
            "where the middle of the largest mark is, in thirds: top_left, top_centre, top_right, "
            "middle_left, … bottom_right; none",
            counted=True,
        ),
        "overlay_box": Column(
            "text", "JSON [x, y, width, height] of the largest mark, pixels of the source as "
            "displayed; NULL without one",
        ),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `overlay`."""

        batch_size: int = Field(32, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing."""
        from curate.tasks.video.standing import standing

        samples = clip.samples
        count = len(samples.measures.pictures)
        step = max(1.0, count / MOST)
        pictures = [
            without_bars(clip, samples.picture(int(n * step))) for n in range(min(count, MOST))
        ]
        # before a camera that stands still, all that does looks like a mark
        tripod = clip.values.get("camera_motion") == "static"
        found = None if tripod else standing(pictures)
        if found is None:
            return dict.fromkeys(self.columns)
        if not found.share:
            return {"overlay_share": 0.0, "overlay_place": "none", "overlay_box": None}
        row = int(3 * (found.y + found.height / 2))
        column = int(3 * (found.x + found.width / 2))
        left, top, width, height = inner_box(clip)
        box = [round(s * n) for s, n in zip((width, height) * 2, found[1:], strict=True)]
        box = [left + box[0], top + box[1], *box[2:]]
        return {
            "overlay_share": round(found.share, 6),
            "overlay_place": f"{_ROWS[min(2, row)]}_{_COLUMNS[min(2, column)]}",
            "overlay_box": json.dumps(box),
        }
