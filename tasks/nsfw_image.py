"""Whether a clip is unsafe to show at work, by its pictures: the stage `nsfw_image`."""

from __future__ import annotations

from statistics import mean
from typing import Any

from curate.configs.schema import Column
from curate.tasks.borders import without_bars
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions


class NsfwImage(Scorer["NsfwImage.Options"]):
    """Yahoo's OpenNSFW on the sampled frames, about one a second; it needs no CLIP.

    Yahoo takes what is below 0.2 for safe and what is above 0.8 for unsafe. It knows photographs:
    animation gives false alarms (0.47 in Big Buck Bunny, 0.89 in Sintel), so look at your own
    clips before you drop any. About 0.1 CPU seconds a frame, on ONNX Runtime.
    """

    name = "nsfw_image"
    columns = {
        "nsfw_image": Column(
            "float", "OpenNSFW's probability that a frame is unsafe, largest of the sampled frames",
            0, 1, "lower",
        ),
        "nsfw_image_mean": Column("float", "the same, mean of the sampled frames", 0, 1, "lower"),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `nsfw_image`."""

        model: str = Field(
            "open-nsfw", min_length=1, description="folder of OpenNSFW: a name or a path"
        )

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without ONNX Runtime."""
        check_onnx_runtime("stage nsfw_image")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """OpenNSFW."""
        return (Need("open_nsfw", options.model),)

    def load(self) -> None:
        """Load the network. Raises BadModel, PackageMissing."""
        from curate.tasks.models.open_nsfw import open_nsfw

        folder = folder_of(self.options.model, self.context.settings.model_folder)
        self._network = open_nsfw(folder)

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing."""
        samples = clip.samples
        scores = [
            self._network.score(without_bars(clip, samples.frame(n)))
            for n in range(len(samples.times))
        ]
        return {
            "nsfw_image": round(max(scores), 6),
            "nsfw_image_mean": round(mean(scores), 6),
        }
