"""Reads what each video is: the stage `probe`."""

from __future__ import annotations

from curate.tasks.inputs import is_image
from curate.tasks.stage import Field, Outcome, Stage, StageOptions, Video


class Probe(Stage[Video, "Probe.Options"]):
    """Size, length, rates, codec and keyframes of a source, by one pass over its packets."""

    name = "probe"
    level = "video"

    class Options(StageOptions):
        """Options of `probe`."""

        batch_size: int = Field(32, ge=1, le=4096, description="videos claimed by one task")

    def run(self, row: Video) -> Outcome:
        """The columns of one video or image. Raises MediaError."""
        from curate.tasks.video.probing import probe_image, probe_video

        return Outcome(probe_image(row.path) if is_image(row.path) else probe_video(row.path))
