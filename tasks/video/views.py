"""Hashes of a clip's frames in several views, so that mirrored, cropped and marked copies are near.

A view is the middle of a picture, down to half of each side. A crop's whole picture is then a
smaller view of its source, and a mark in a corner is outside the smallest views.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.hashing import FLAT

Words = NDArray[np.uint64]
Gray = NDArray[np.uint8]

RATIO = 0.88  # of the sides of a view to those of the next larger one: a crop to 80 % is two steps
VIEWS = 6  # of each picture: 1, 0.88, 0.77, 0.68, 0.6 and 0.53 of its sides
MIRROR = np.uint64(0x5555555555555555)  # the bits that differ between a view and its mirror image
NO_FRAMES = np.zeros((0, VIEWS), np.uint64)
_FORM = "1:"  # what the text of a clip begins with; texts of other forms are not compared
_DARK = 32  # luma up to which a line of the picture belongs to a black bar
_PIXELS = 32  # side of what the DCT sees


def hash_views(picture: Gray) -> Words:
    """The hash of each view of a picture's luma (H x W), largest view first; 0 where it is flat.

    The bits are the signs of the 8 x 8 lowest DCT coefficients of 32 x 32 pixels. Mirroring a
    picture turns the signs of the odd columns, so ``hash ^ MIRROR`` is the mirror image's hash.
    The first bit is always set.
    """
    hashes = np.zeros(VIEWS, np.uint64)
    for n in range(VIEWS):
        top, left = (round(side * (1 - RATIO**n) / 2) for side in picture.shape)
        view = picture[top : picture.shape[0] - top, left : picture.shape[1] - left]
        if cv2.meanStdDev(view)[1][0][0] < FLAT:
            continue
        small = cv2.resize(view, (_PIXELS, _PIXELS), interpolation=cv2.INTER_AREA)
        signs = cv2.dct(small.astype(np.float32))[:8, :8] > 0
        hashes[n] = int.from_bytes(np.packbits(signs).tobytes(), "big")
    return hashes


def hash_frames(pictures: Iterable[Gray]) -> str:
    """The views of a clip's frames, from their luma, as a text for a column.

    If some have black bars, those of all frames without their bars follow. Flat pictures are left
    out.
    """
    whole, inside, has_bars = [], [], False
    for picture in pictures:
        within = without_bars(picture)
        has_bars |= within.shape != picture.shape
        whole.append(hash_views(picture))
        inside.append(hash_views(within) if within.shape != picture.shape else whole[-1])
    return encode_views([whole, inside] if has_bars else [whole])


def without_bars(picture: Gray) -> Gray:
    """The picture inside its black bars; all of it if less than half of a side would remain."""
    for _ in range(2):
        lines = np.flatnonzero(picture.max(axis=1) > _DARK)
        if len(lines) and 2 * (lines[-1] + 1 - lines[0]) >= len(picture):
            picture = picture[lines[0] : lines[-1] + 1]
        picture = picture.T
    return picture


def encode_views(takes: Iterable[Iterable[Words]]) -> str:
    """Several takes of a clip's frames as a text; flat pictures are left out."""
    arrays = [np.array([frame for frame in take if frame[0]], "<u8") for take in takes]
    return _FORM + ",".join(base64.b64encode(array.tobytes()).decode() for array in arrays)


def decode_views(text: str | None) -> list[Words]:
    """The takes in a text, each frames x VIEWS; none if there is no text or it is of another form.

    The first is of whole pictures, the second of what is within their black bars.
    """
    if not text or not text.startswith(_FORM):
        return []
    takes = text.removeprefix(_FORM).split(",")
    return [np.frombuffer(base64.b64decode(t), "<u8").reshape(-1, VIEWS) for t in takes]
