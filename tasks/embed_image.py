"""Embeds frames of a clip without CLIP: the stage `embed_image`."""

from __future__ import annotations

from typing import Any, Literal

from curate.tasks.borders import without_bars
from curate.tasks.clip_embed import POINTS
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.stage import Clip, Field, Outcome, Rows, Stage, StageOptions, Storable


class EmbedImage(Stage[Clip, "EmbedImage.Options"]):
    """Embeddings of 1 to 3 sampled frames by EfficientNet-Lite0, into the table `embeddings`.

    They tell which clips look alike, for `concept` and `semantic_dedup`, where CLIP's weights are
    missing; they know no texts, so no match and no search reads them. The frames are samples of
    split, inside the bars where `borders` ran before it. Where two points of a short clip fall on
    the same frame, it is embedded once. About 0.012 CPU seconds a frame, on ONNX Runtime.
    """

    name = "embed_image"
    level = "clip"
    writes = ("embeddings",)

    class Options(StageOptions):
        """Options of `embed_image`."""

        model: Storable = Field(
            "efficientnet-lite0",
            min_length=1,
            description="folder of EfficientNet-Lite0: a name or a path",
        )
        frames: Literal[1, 2, 3] = Field(
            3,
            description="frames embedded: at .5 of the length, at .25 and .75, or at .1, .5 and .9",
        )

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without ONNX Runtime."""
        check_onnx_runtime("stage embed_image")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """EfficientNet-Lite0."""
        return (Need("efficientnet_lite0", options.model),)

    def load(self) -> None:
        """Load the network. Raises BadModel, PackageMissing."""
        from curate.tasks.models.efficientnet import efficientnet

        folder = folder_of(self.options.model, self.context.settings.model_folder)
        self._network = efficientnet(folder)

    def run(self, row: Clip) -> Outcome:
        """The embeddings of one clip. Raises SamplesMissing."""
        points = row.samples.pictures_at(POINTS[self.options.frames])
        rows = [
            {
                "frame": frame, "position": point, "revision": self._network.revision,
                "vector": self._network.embed(without_bars(row, picture)).astype("<f2").tobytes(),
            }
            for frame, (point, picture) in enumerate(points)
        ]  # fmt: skip
        return Outcome({}, tables=[Rows("embeddings", {"model": self.options.model}, rows)])
