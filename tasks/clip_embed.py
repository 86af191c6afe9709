"""Embeds frames of a clip with CLIP, once for all scores that use them: the stage `clip_embed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from curate.configs.row_errors import NotFinite, RowError
from curate.tasks.borders import without_bars
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.models.onnx_session import check_queue, device_of
from curate.tasks.stage import BatchStage, Clip, EngineOptions, Field, Outcome, Rows, Storable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# option `frames`: the points that are embedded, as fractions of the clip's length
POINTS = {1: (0.5,), 2: (0.25, 0.75), 3: (0.1, 0.5, 0.9)}


class ClipEmbedOptions(EngineOptions):
    """Options of `clip_embed`."""

    model: Storable = Field(
        CLIP_MODEL,
        min_length=1,
        description="folder of a CLIP model: a name (curate models list) or a path",
    )
    frames: Literal[1, 2, 3] = Field(
        1, description="frames embedded: at .5 of the length, at .25 and .75, or at .1, .5 and .9"
    )
    pass_size: int = Field(
        0,
        ge=0,
        le=1024,
        description="pictures in one pass of the tower; 0: 64 on an NPU, 8 by MindSpore on a CPU, "
        "and on ONNX Runtime as many as make it faster: 1 of ViT-L/14, 10 of ViT-B/32",
    )


@dataclass(frozen=True)
class Prepared:
    """A clip's pictures, ready for the tower, and their points, as fractions of its length."""

    positions: Sequence[float]
    pixels: Sequence[NDArray[np.float32]]


class ClipEmbed(BatchStage[Clip, ClipEmbedOptions]):
    """Embeddings of 1 to 3 sampled frames by CLIP's image tower, into the table `embeddings`.

    No other stage runs the tower: option_match, match, aesthetic, nsfw and `curate search` read
    these embeddings. The frames are samples of split. Where two points of a short clip fall on the
    same frame, it is embedded once. A CPU runs the tower on ONNX Runtime where that is installed,
    an NPU by MindSpore, with equal numbers up to rounding.
    """

    name = "clip_embed"
    level = "clip"
    Options = ClipEmbedOptions
    writes = ("embeddings",)
    stops_at_once = True

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without ONNX Runtime, which the queue cpu needs."""
        check_queue(options.queue, cls.name)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The CLIP model."""
        return (Need("clip", options.model),)

    def load(self) -> None:
        """Load the image tower. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.towers import image_tower

        settings, options = self.context.settings, self.options
        folder = folder_of(options.model, settings.model_folder)
        device = device_of(options.queue, settings.device, self.name)
        self._tower = image_tower(folder, device, options.dtype, options.pass_size or None)

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """The embeddings of each clip; the tower takes the pictures of all clips together."""
        import numpy as np

        from curate.tasks.models.embeddings import unit

        inputs = [self._prepared(row) for row in rows]
        pictures = [p for one in inputs if isinstance(one, Prepared) for p in one.pixels]
        side = self._tower.side
        batch = np.stack(pictures) if pictures else np.zeros((0, 3, side, side), np.float32)
        vectors = iter(unit(self._tower.embed(batch)))
        return [
            one
            if isinstance(one, RowError)
            else self._outcome(one.positions, [next(vectors) for _ in one.pixels])
            for one in inputs
        ]

    def _prepared(self, clip: Clip) -> Prepared | RowError:
        from curate.tasks.models.preprocess import Preprocess, pixels

        spec = Preprocess(self._tower.side)
        try:
            found = clip.samples.pictures_at(POINTS[self.options.frames])
            pictures = [pixels(without_bars(clip, picture), spec) for _, picture in found]
            return Prepared([point for point, _ in found], pictures)
        except RowError as error:
            return error

    def _outcome(
        self, positions: Sequence[float], vectors: Sequence[NDArray[np.float32]]
    ) -> Outcome | RowError:
        from curate.tasks.models import embeddings

        if not embeddings.finite(vectors):
            return NotFinite(stage=self.name, value="NaN or infinity", column="embeddings.vector")
        rows = [
            {
                "frame": frame, "position": position, "revision": self._tower.revision,
                "vector": embeddings.stored(vector),
            }
            for frame, (position, vector) in enumerate(zip(positions, vectors, strict=True))
        ]  # fmt: skip
        return Outcome({}, tables=[Rows(embeddings.TABLE, {"model": self.options.model}, rows)])
