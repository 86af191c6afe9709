"""CLIP embeddings of frames as stored in `embeddings`: little-endian float16 of unit length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import OtherWeights
from curate.configs.row_errors import EmbeddingMissing, OtherEmbeddings
from curate.tasks.stage import Clip

TABLE = "embeddings"
_STORED = np.dtype("<f2")


@dataclass(frozen=True)
class Embedded:
    """The embeddings of a clip's frames, and the weights that made them.

    Vectors are (frames, width), float32, of unit length. Positions are fractions of the clip.
    """

    vectors: NDArray[np.float32]
    revision: str
    positions: Sequence[float] = ()


@dataclass(frozen=True)
class TextVector:
    """A text as a text tower sees it, and the weights that made it.

    `values` is a vector (width), float32, as long as the factor that CLIP applies to cosines.
    """

    values: NDArray[np.float32]
    revision: str

    def scores(self, revision: str, vectors: Sequence[bytes], stage: str) -> list[float]:
        """How well frames fit the text: 100 times the cosine, the higher the better.

        The vectors are as stored, made with the weights `revision` by `stage`. Raises OtherWeights.
        """
        if revision != self.revision:
            raise OtherWeights(stage=stage, needed=self.revision, found=revision)
        return [float(score) for score in read(vectors) @ self.values]


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows scaled to unit length; a row that is zero or holds NaN or infinity becomes NaN."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        units: NDArray[np.float32] = (
            vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        ).astype(np.float32)
        return units


def finite(vectors: Sequence[NDArray[np.float32]]) -> bool:
    """Whether all numbers are finite."""
    return bool(np.isfinite(vectors).all())


def stored(vector: NDArray[np.float32]) -> bytes:
    """A vector as stored in the table.

    float16 changes a cosine by about 2e-5, and thus a match by 2e-3.
    """
    return vector.astype(_STORED).tobytes()


def read(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    """Stored vectors as (n, width), scaled to unit length again."""
    return unit(np.stack([np.frombuffer(v, _STORED) for v in vectors]).astype(np.float32))


def of_clip(clip: Clip, model: str, stage: str, width: int | None = None) -> Embedded:
    """The embeddings of a clip by a model.

    Raises EmbeddingMissing if there are none, or none of this width.
    """
    rows: Sequence[Mapping[str, Any]] = [
        r for r in clip.tables.get(TABLE, ()) if r["model"] == model
    ]
    if not rows:
        raise EmbeddingMissing(stage=stage, model=model, found="there are none")
    rows = sorted(rows, key=lambda r: int(r["frame"]))
    vectors = read([bytes(r["vector"]) for r in rows])
    if width not in (None, vectors.shape[1]):
        raise EmbeddingMissing(
            stage=stage, model=model, found=f"they have {vectors.shape[1]} numbers, not {width}"
        )
    positions = [float(r["position"]) for r in rows]
    return Embedded(vectors, str(rows[0]["revision"]), positions)


def matching(embedded: Embedded, revision: str, stage: str) -> NDArray[np.float32]:
    """The vectors, if the same weights made them.

    Raises OtherEmbeddings: cosines across models are meaningless.
    """
    if embedded.revision != revision:
        raise OtherEmbeddings(stage=stage, needed=revision, found=embedded.revision)
    return embedded.vectors
