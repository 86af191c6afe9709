"""Still images as clips of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from curate.configs.errors import NotMedia
from curate.tasks.inputs.paths import to_text
from curate.tasks.stage import NewClip
from curate.tasks.video.decode import open_file
from curate.tasks.video.flow import measure_still
from curate.tasks.video.geometry import RGB, Geometry
from curate.tasks.video.hashing import perceptual_hash
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import LONGER, SHORTER, SampleWriter

_ORIENTATION = 0x0112  # Exif
_ROTATIONS = {3: 180, 6: 90, 8: 270, 4: 180, 5: 90, 7: 270}  # degrees clockwise; mirrored ones last


@dataclass(frozen=True)
class StillImage:
    """A decoded image: upright pixels (H x W x 3, RGB) and properties of its file."""

    pixels: RGB
    rotation: int  # degrees clockwise by which the stored picture was turned upright
    codec: str  # format in lower case, e.g. jpeg
    pixel_format: str  # PIL's mode in lower case, e.g. rgb


def read_image(path: str) -> StillImage:
    """The image in a local file or at a URL, turned as its Exif says, transparency on black.

    Raises what `open_file` raises, and NotMedia when the file is no image or damaged.
    """
    with open_file(path) as file:
        try:
            with Image.open(file) as image:
                rotation = _ROTATIONS.get(image.getexif().get(_ORIENTATION, 1), 0)
                codec, mode = str(image.format).lower(), image.mode.lower()
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            unknown = isinstance(error, UnidentifiedImageError)
            why = "it is no image" if unknown else str(error).lower()
            raise NotMedia(path=to_text(path), why=why) from error
    return StillImage(pixels, rotation, codec, mode)


def image_clip(path: str, hash_method: str, writer: SampleWriter) -> NewClip:
    """Write the samples of an image; returns its one clip: pts 0 to 1, one frame, no times.

    Raises MediaError.
    """
    pixels = read_image(path).pixels
    height, width = pixels.shape[:2]
    shape = Geometry(width, height, Fraction(1), 0)
    small = _scaled(pixels, shape.fit(shorter=SHORTER))
    jpegs = JpegList()
    picture = jpegs.add(0.0, encode_jpeg(small))
    large = jpegs.add(0.0, encode_jpeg(_scaled(pixels, shape.fit(longer=LONGER))))
    measures = Measures(0.0, [picture], [0], large, stills=[measure_still(small, 0.0)])
    writer.write(0, measures, jpegs)
    hashed = perceptual_hash(small, hash_method)
    return NewClip(0, 0, 1, {
        "num_frames": 1, "fps": None, "width": width, "height": height,
        "aspect_ratio": height / width, "resolution": height * width, "start_frame": 0,
        "start_seconds": None, "end_seconds": None, "seconds": None,
        "hash_first": hashed, "hash_middle": hashed,
    })  # fmt: skip


def _scaled(pixels: RGB, size: tuple[int, int]) -> RGB:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), np.uint8)
