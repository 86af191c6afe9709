"""Pictures as JPEGs, and the JPEGs of a clip as one string of bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.geometry import RGB
from curate.tasks.video.measures import Picture

QUALITY = 90


def encode_jpeg(picture: RGB) -> bytes:
    """A picture (H x W x 3, RGB) as JPEG."""
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return jpeg.tobytes()


def decode_jpeg(jpeg: bytes) -> RGB:
    """The picture (H x W x 3, RGB) in a JPEG. Raises ValueError for bytes that are no JPEG."""
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB) if jpeg else None
    if decoded is None:
        raise ValueError("not a JPEG")
    return decoded.astype(np.uint8, copy=False)


def decode_half(jpeg: bytes) -> NDArray[np.uint8]:
    """The luma of the picture in a JPEG, with half of its sides: four times as fast to decode."""
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    assert decoded is not None
    return decoded.astype(np.uint8, copy=False)


@dataclass
class JpegList:
    """The JPEGs of one clip, concatenated."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, seconds: float, jpeg: bytes) -> Picture:
        """Append the JPEG of the frame at `seconds` of the clip; returns its position in `data`."""
        picture = Picture(seconds, len(self.data), len(jpeg))
        self.data += jpeg
        return picture
