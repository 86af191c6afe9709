"""Still images as clips of one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from curate.configs.row_errors import NotMedia, UnsupportedPicture
from curate.tasks.inputs.paths import to_text
from curate.tasks.stage import NewClip
from curate.tasks.video.bars import find_bars
from curate.tasks.video.box import common_box, cut_to
from curate.tasks.video.decode import open_file
from curate.tasks.video.flow import measure_still
from curate.tasks.video.geometry import RGB, Geometry
from curate.tasks.video.hashing import perceptual_hashes
from curate.tasks.video.jpeg import JpegList, decode_half, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import LONGER, SHORTER, SampleWriter
from curate.tasks.video.views import hash_frames

_ORIENTATION = 0x0112  # Exif
_ROTATIONS = {3: 180, 6: 90, 8: 270, 4: 180, 5: 90, 7: 270}  # degrees clockwise
_MIRRORED = (2, 4, 5, 7)
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # formats whose further pictures are later in time


@dataclass(frozen=True)
class StillImage:
    """A decoded image: upright pixels (H x W x 3, RGB) and properties of its file."""

    pixels: RGB
    rotation: int  # degrees clockwise by which the stored picture was turned upright
    mirrored: bool  # whether left and right then changed places
    codec: str  # format in lower case, e.g. jpeg
    pixel_format: str  # PIL's mode in lower case, e.g. rgb


def read_image(path: str) -> StillImage:
    """The image in a local file or at a URL, turned as its Exif says, transparency on black.

    Gray of more than 8 bits is scaled: white is 65535, or in floats 1, or 255 where some exceed 1.
    Raises what `open_file` raises, NotMedia when the file is no image or damaged, and
    UnsupportedPicture for an animation and for numbers outside these ranges.
    """
    with open_file(path) as file:
        try:
            with Image.open(file) as image:
                if image.format in _ANIMATED and getattr(image, "is_animated", False):
                    why = f"it is an animation of {getattr(image, 'n_frames', 2)} frames"
                    raise UnsupportedPicture(path=to_text(path), why=why)
                orientation = image.getexif().get(_ORIENTATION, 1)
                codec, mode = str(image.format).lower(), image.mode.lower()
                pixels = _to_rgb(ImageOps.exif_transpose(image), path)
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            unknown = isinstance(error, UnidentifiedImageError)
            why = "it is no image" if unknown else str(error).lower()
            raise NotMedia(path=to_text(path), why=why) from error
    rotation = _ROTATIONS.get(orientation, 0)
    return StillImage(pixels, rotation, orientation in _MIRRORED, codec, mode)


def _to_rgb(image: Image.Image, path: str) -> RGB:
    """The pixels as 8-bit RGB; see `read_image`."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray = np.asarray(image, np.float32)
        low, high = float(gray.min()), float(gray.max())
        white = 65535 if image.mode != "F" else 1 if high <= 1 else 255
        if not 0 <= low <= high <= white:  # also where one is no number
            why = f"its gray values run from {low:g} to {high:g}, not from 0 to {white}"
            raise UnsupportedPicture(path=to_text(path), why=why)
        gray8 = np.rint(gray * (255 / white)).astype(np.uint8)
        gray8[gray == image.info.get("transparency")] = 0
        return np.stack([gray8] * 3, axis=-1)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), np.uint8)


def image_clip(
    path: str, hash_method: str, writer: SampleWriter, views: str = "none", bars: bool = False
) -> NewClip:
    """Write the samples of an image; returns its one clip: pts 0 to 1, one frame, no times.

    `views` is as in the options of the stage `dedup`; `bars`: those of the picture are measured.
    Raises MediaError.
    """
    pixels = read_image(path).pixels
    height, width = pixels.shape[:2]
    shape = Geometry(width, height, Fraction(1), 0)
    small = _scaled(pixels, shape.fit(shorter=SHORTER))
    jpegs = JpegList()
    picture = jpegs.add(0.0, encode_jpeg(small))
    large = jpegs.add(0.0, encode_jpeg(_scaled(pixels, shape.fit(longer=LONGER))))
    still = measure_still(small, 0.0)
    if bars:
        gray = np.asarray(Image.fromarray(pixels).convert("L"), np.uint8)
        still = replace(still, bars=find_bars(gray, small))
    measures = Measures(0.0, [picture], [0], large, stills=[still], size=(width, height))
    writer.write(0, measures, jpegs)
    box = (still.bars and common_box([still.bars], width, height)) or (0, 0, width, height)
    inside = cut_to(box, small, (width, height))
    hashed, mirrored = perceptual_hashes(inside, hash_method, views != "none")
    viewed = {}
    if views == "all":
        half = cut_to(box, decode_half(bytes(jpegs.data[: picture.size])), (width, height))
        viewed = {"hash_views": hash_frames([half])}
    return NewClip(0, 0, 1, {
        "num_frames": 1, "fps": None, "width": width, "height": height,
        "aspect_ratio": height / width, "resolution": height * width, "start_frame": 0,
        "start_seconds": None, "end_seconds": None, "seconds": None,
        "hash_first": hashed, "hash_middle": hashed,
        "hash_first_mirrored": mirrored, "hash_middle_mirrored": mirrored,
        **viewed,
    })  # fmt: skip


def _scaled(pixels: RGB, size: tuple[int, int]) -> RGB:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), np.uint8)
