"""Finds duplicates by perceptual hash: the stage `dedup`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from curate.tasks.stage import Clip, Column, Context, DuplicateStage, Field, Order, StageOptions
from curate.tasks.video.hash_package import check_imagededup

if TYPE_CHECKING:
    from curate.tasks.video.survivors import Survivors


class DedupOptions(StageOptions):
    """Options of `dedup`."""

    batch_size: int = Field(512, ge=1, le=4096, description="rows claimed by one task")
    hash: Literal["phash", "ahash", "dhash", "whash"] = Field(
        "phash", description="perceptual hash, computed by split"
    )
    threshold: int = Field(
        10, ge=0, le=32, description="bits of 64 that may differ; the scripts' is 15"
    )
    frames: Literal["both", "first"] = Field(
        "both", description="frames that must be near; the scripts' is first"
    )
    views: Literal["none", "mirror", "all"] = Field(
        "none",
        description="copies found besides plain ones: mirrored; all: also cropped, with marks at "
        "the border, trimmed, by hashes of sampled frames that split then makes",
    )
    keep: Literal["first", "best"] = Field(
        "first",
        description="survivor: first in order, or best by resolution, then length (waits for all "
        "of split)",
    )


class Dedup(DuplicateStage[DedupOptions]):
    """Marks a clip as duplicate when an earlier surviving clip lies within the threshold.

    Both belong to one dataset. Clips are taken in the order (video id, clip index), so the result
    does not depend on which worker was faster. It is the greedy rule of imagededup: duplicates of a
    duplicate may survive.
    """

    name = "dedup"
    Options = DedupOptions
    imports = ("curate.tasks.video.survivors",)
    columns = {
        "duplicate": Column(
            "int", "1 when an earlier surviving clip is within the threshold", 0, 1, "lower"
        ),
        "duplicate_of": Column("int", "id of the earliest such clip"),
        "duplicate_distance": Column(
            "int",
            "Hamming distance to it in bits, the larger of both frames; of frames found by their "
            "views, of the third best of four",
            0,
            64,
        ),
        "dedup_seq": Column("int", "the order in which clips were looked at", 1),
    }

    def __init__(self, options: DedupOptions, context: Context) -> None:
        from curate.tasks.video.survivors import Survivors

        super().__init__(options, context)
        self._survivors: Survivors = Survivors(options.frames, options.views)

    @classmethod
    def order(cls, options: Any) -> Order:
        """(video id, clip index); with keep: best, the largest clips first, then the longest."""
        views = ("hash_views",) if options.views == "all" else ()
        order = Order(
            number="dedup_seq",
            recalled=("duplicate", "hash_first", "hash_middle", *views),
            duplicate_of="duplicate_of",
        )
        if options.keep == "best":
            best = ("-resolution", "-seconds", "video_id", "clip_index")
            return replace(order, by=best, whole=True)
        return order

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing when imagededup is not installed."""
        check_imagededup()

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn survivors, in order."""
        self._survivors.extend([row["id"] for row in rows], rows)

    def matches(self, rows: Sequence[Clip]) -> list[tuple[int, int] | None]:
        """For each clip the earliest survivor within the threshold, with its distance."""
        before = len(self._survivors)
        found = []
        for row in rows:
            earlier = self._survivors.earliest_within(row, self.options.threshold)
            if earlier is None:
                self._survivors.extend([row.id], [row])
            found.append(earlier)
        self._survivors.truncate(before)
        return found
