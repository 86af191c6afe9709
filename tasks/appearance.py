"""How bright, colourful and detailed pictures are: the stage `appearance`. Opens no video."""

from __future__ import annotations

from statistics import mean, median

from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions


class Appearance(Scorer["Appearance.Options"]):
    """Brightness, contrast, colourfulness, and the detail and change of ITU-T P.910.

    All are of the sampled frames, about one a second, with a shorter side of 256 pixels or the
    source's, so that clips of any size compare; P.910 measures in full size.
    """

    name = "appearance"
    columns = {
        "brightness": Column("float", "luma (ITU-R 601), mean over pixels and frames", 0, 255),
        "contrast": Column(
            "float", "standard deviation of the luma over a frame, mean over the frames", 0, 127.5,
            "higher",
        ),
        "colourfulness": Column(
            "float",
            "Hasler & Suesstrunk 2003: sqrt(var(rg) + var(yb)) + 0.3 * sqrt(mean(rg)^2 + "
            "mean(yb)^2), rg = R - G, yb = (R + G) / 2 - B; median over the frames; gray 0, "
            "moderate 45, extreme 109",
            0,
            better="higher",
        ),
        "spatial_information": Column(
            "float",
            "ITU-T P.910: standard deviation of the Sobel magnitude of the luma; the largest of "
            "the frames",
            0,
            better="higher",
        ),
        "temporal_information": Column(
            "float",
            "ITU-T P.910: standard deviation of the change of the luma from a frame to the next, "
            "long side 256; the largest of about four pairs a second; NULL for an image, and for "
            "samples of versions before this stage",
            0,
            better="higher",
        ),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `appearance`."""

        batch_size: int = Field(64, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing."""
        from curate.tasks.video.picture_measures import colourfulness, spatial_information

        samples = clip.samples
        colours, details = [], []
        for number in range(len(samples.times)):  # not all at once: a clip may last for hours
            frame = samples.frame(number)
            colours.append(colourfulness(frame))
            details.append(spatial_information(frame))
        changes = [pair.deviation for pair in samples.pairs if pair.deviation is not None]
        return {
            "brightness": round(mean(still.mean for still in samples.stills), 6),
            "contrast": round(mean(still.deviation for still in samples.stills), 6),
            "colourfulness": round(median(colours), 6),
            "spatial_information": round(max(details), 6),
            "temporal_information": max(changes, default=None),
        }
