"""How frames were stored: lines of two times in one, and blocks. The stage `coding`."""

from __future__ import annotations

from statistics import median

from curate.configs.row_errors import MeasuresMissing
from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions


class Coding(Scorer["Coding.Options"]):
    """Interlacing and blockiness as they are seen, by ffmpeg's idet and blockdetect.

    `split` looks at the middle of a frame in full size, at most 1280 x 512 pixels, about one a
    second, when this stage is in the pipeline. What a source flags as interlaced is deinterlaced
    before (`interlaced_flag`), so that `interlaced` tells of combs that no flag tells of. Both are
    NULL for images and clips of one frame.
    """

    name = "coding"
    columns = {
        "interlaced": Column(
            "float", "share of the frames that show two times in alternate lines", 0, 1, "lower"
        ),
        "blockiness": Column(
            "float",
            "lavfi.block of blockdetect, median over the frames: change across the lines of the "
            "grid it finds / change elsewhere (Muijs & Kirenko 2005); about 1: no blocks; NULL "
            "where nothing changes elsewhere",
            0,
            better="lower",
        ),
    }

    class Options(StageOptions):
        """Options of `coding`."""

        batch_size: int = Field(256, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing, MeasuresMissing."""
        looks = clip.samples.measures.looks
        if looks is None and clip.samples.seconds:
            raise MeasuresMissing(stage=self.name)
        if not looks:
            return dict.fromkeys(self.columns)
        ratios = [look.blocks for look in looks if look.blocks is not None]
        return {
            "interlaced": round(sum(look.combed for look in looks) / len(looks), 6),
            "blockiness": round(median(ratios), 6) if ratios else None,
        }
