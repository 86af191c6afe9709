"""What CLIP's two towers do, on whatever engine they run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint
from curate.tasks.models.embeddings import TextVector, unit

Floats = NDArray[np.float32]


class ImageTower(ABC):
    """Turns pictures into embeddings. Created by `towers.image_tower`.

    `side` is that of a picture in pixels, `batch` how many pass at a time, `revision` the first
    digits of the SHA-256 of the weights.
    """

    side: int
    batch: int
    revision: str

    @abstractmethod
    def embed(self, pixels: Floats) -> Floats:
        """Embeddings (n, width) of pictures (n, 3, side, side); not of unit length.

        Pictures are prepared by `preprocess.pixels`.
        """


class TextTower(ABC):
    """Turns texts into embeddings. Created by `towers.text_tower`.

    `logit_scale` is the factor that CLIP applies to cosines, about 100.
    """

    revision: str
    logit_scale: float

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Floats:
        """Embeddings (n, width) of texts, each cut to 77 tokens; not of unit length."""

    def vector(self, text: str) -> TextVector:
        """A text, to be compared with embeddings of frames."""
        return TextVector(self.logit_scale * unit(self.embed([text]))[0], self.revision)


def logit_scale(file: Path) -> float:
    """The factor that the CLIP of a file applies to cosines."""
    return math.exp(float(checkpoint.arrays(file, ["logit_scale"])["logit_scale"]))
