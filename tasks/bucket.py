"""Sorts clips by size and length as trainers batch them: the stage `bucket`. Opens no video."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pydantic import Field, field_validator

from curate.configs.errors import ConfigError
from curate.configs.schema import Column, StageOptions
from curate.tasks.stage import Clip, Context, Scorer, Scores
from curate.tasks.video.buckets import BucketTable, parse_bucket, presets, read_table


class BucketOptions(StageOptions):
    """Options of `bucket`."""

    batch_size: int = Field(2048, ge=1, le=4096, description="rows claimed by one task")
    table: tuple[str, ...] = Field(
        (),
        description="the buckets: 256p, 480p, 720p, file://table.yaml, names such as 480x832x81 "
        "(height, width, frames), rows of sizes and frames, or a list of these; see: "
        "curate buckets --table 480p",
    )
    fps: float | None = Field(
        None,
        gt=0,
        le=240,
        description="frames a second by which a clip's frames are counted, as target_fps of cut; "
        "null: those of the source",
    )
    enlarge: float = Field(
        1.0, ge=1, le=4, description="how much larger a clip may become; 1: never enlarged"
    )
    max_lost: float = Field(
        0.3,
        ge=0,
        le=1,
        description="largest share of the picture that a crop may cut away, or of the bucket that "
        "bars may fill",
    )

    @field_validator("table", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """All buckets by name; presets and files are read now, to be frozen with the pipeline."""
        return read_table(value)


class Bucket(Scorer[BucketOptions]):
    """The bucket of a clip: the size and number of frames in which it is trained on.

    That is the one of the table in which most of it is kept: pixels of all frames * share of the
    picture that is not lost. No clip is enlarged beyond `enlarge`, and no frame is repeated. `fit`
    of cut writes files of exactly that shape. A clip that fits none has a NULL bucket and
    `no_bucket`; a filter may drop it: bucket IS NOT NULL.
    """

    name = "bucket"
    Options = BucketOptions
    columns = {
        "bucket": Column(
            "text", "height x width x frames, such as 480x832x81; NULL: it fits none", counted=True
        ),
        "bucket_lost": Column(
            "float",
            "share of the picture outside the bucket's shape: cut away by fit crop; with fit pad, "
            "of the bucket in bars",
            0,
            1,
            "lower",
        ),
        "no_bucket": Column(
            "text",
            "why it fits none: too_short for all; too_small for those that it is long enough for; "
            "other_aspect: too wide or tall; NULL with a bucket",
            counted=True,
        ),
    }

    def __init__(self, options: BucketOptions, context: Context) -> None:
        super().__init__(options, context)
        buckets = [parse_bucket(name) for name in options.table]
        self._table = BucketTable(buckets, options.enlarge, options.max_lost)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError without a table."""
        if not options.table:
            why = f"it needs a table of buckets, such as table: {next(iter(presets()))}"
            raise ConfigError(source=f"of stage {cls.name}", why=why, step=cls.name)

    def score(self, clip: Clip) -> Scores:
        """The bucket by the clip's columns alone."""
        frames = clip["num_frames"]
        if self.options.fps is not None and clip["fps"] is not None:  # an image has no rate
            rate = Fraction(self.options.fps).limit_denominator(1001)
            frames = max(1, round(clip.span.seconds * rate))
        choice = self._table.choose(clip["height"], clip["width"], frames)
        name = choice.bucket.name if choice.bucket else None
        return {"bucket": name, "bucket_lost": choice.lost, "no_bucket": choice.misfit}
