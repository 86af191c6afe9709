"""Embeds frames of a clip by CLIP's image tower, once for all scores that rest on them: the stage
`clip_embed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from curate.configs.errors import NotFinite, RowError
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.stage import AscendOptions, Clip, Field, Outcome, Rows, Stage, Storable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS = {1: (0.5,), 2: (0.25, 0.75), 3: (0.1, 0.5, 0.9)}  # of the length of a clip


class ClipEmbedOptions(AscendOptions):
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
        description="pictures in one pass of the tower; 0: 8 on the CPU, 64 on an NPU",
    )


@dataclass(frozen=True)
class Prepared:
    """A clip's pictures, ready for the tower, and the points of the clip that they stand for."""

    positions: Sequence[float]
    pixels: Sequence[NDArray[np.float32]]


class ClipEmbed(Stage[Clip, ClipEmbedOptions]):
    """Embeddings of 1 to 3 sampled frames by CLIP's image tower, into the table `embeddings`.

    The only pass of the tower: option_match, match, aesthetic, nsfw and `curate search` read what
    it wrote. Frames come from the samples of split. Points of a short clip that fall on one frame
    are embedded once.
    """

    name = "clip_embed"
    level = "clip"
    Options = ClipEmbedOptions
    writes = ("embeddings",)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """CLIP."""
        return (Need("clip", options.model),)

    def load(self) -> None:
        """Load the image tower, once a process. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.towers import image_tower

        settings, options = self.context.settings, self.options
        folder = folder_of(options.model, settings.model_folder)
        self._tower = image_tower(folder, settings.device, options.dtype, options.pass_size or None)

    def run(self, row: Clip) -> Outcome:
        """The embeddings of one clip."""
        found = self.run_batch([row])[0]
        if isinstance(found, RowError):
            raise found
        return found

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """The embeddings of each clip, all pictures through the tower together."""
        prepared = [self._prepared(row) for row in rows]
        pictures = [p for found in prepared if isinstance(found, Prepared) for p in found.pixels]
        vectors = iter(self._embedded(pictures))
        return [
            found
            if isinstance(found, RowError)
            else self._outcome(found, [next(vectors) for _ in found.pixels])
            for found in prepared
        ]

    def _embedded(self, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        import numpy as np

        from curate.tasks.models.embeddings import unit

        side = self._tower.side
        return unit(
            self._tower.embed(
                np.stack(pictures) if pictures else np.zeros((0, 3, side, side), np.float32)
            )
        )

    def _prepared(self, clip: Clip) -> Prepared | RowError:
        from curate.tasks.models.preprocess import Preprocess, pixels

        spec = Preprocess(self._tower.side)
        try:
            places = {
                clip.samples.place(point): point for point in reversed(POINTS[self.options.frames])
            }
            chosen = sorted((point, place) for place, point in places.items())
            return Prepared(
                [p for p, _ in chosen],
                [pixels(clip.samples.picture(place), spec) for _, place in chosen],
            )
        except RowError as error:
            return error

    def _outcome(
        self, prepared: Prepared, vectors: Sequence[NDArray[np.float32]]
    ) -> Outcome | RowError:
        import numpy as np

        from curate.tasks.models.embeddings import TABLE, stored

        if not np.isfinite(vectors).all():
            return NotFinite(stage=self.name, value="NaN or infinity", column="embeddings.vector")
        rows = [
            {
                "frame": frame,
                "position": position,
                "revision": self._tower.revision,
                "vector": stored(vector),
            }
            for frame, (position, vector) in enumerate(
                zip(prepared.positions, vectors, strict=True)
            )
        ]
        return Outcome({}, tables=[Rows(TABLE, {"model": self.options.model}, rows)])
