"""Pictures of every depth, with and without transparency, come out as 8-bit RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from curate.configs.row_errors import UnsupportedPicture
from curate.tasks.video.still_images import read_image
from tests.media import picture

STEPS = np.linspace(0, 1, 96)


def save(array: NDArray[np.generic], path: Path) -> str:
    Image.fromarray(array).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind", "white"),
    [
        ("a.png", "<u2", 65535),
        ("a.tif", "<u2", 65535),
        ("a.tif", "<i4", 65535),
        ("a.tif", "<f4", 1),
        ("a.tif", "<f4", 255),
    ],
)
def test_deep_gray_is_scaled(tmp_path: Path, name: str, kind: str, white: int) -> None:
    ramp = (STEPS * white).astype(kind)[None].repeat(16, axis=0)
    pixels = read_image(save(ramp, tmp_path / name)).pixels
    assert pixels.shape == (16, 96, 3)
    assert np.abs(pixels[3, :, 1] - STEPS * 255).max() <= 0.51


def test_a_16_bit_pgm_is_scaled(tmp_path: Path) -> None:
    ramp = (STEPS * 65535).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 96 1 65535\n" + ramp.tobytes())
    assert np.abs(read_image(str(tmp_path / "a.pgm")).pixels[0, :, 0] - STEPS * 255).max() <= 0.51


@pytest.mark.parametrize("values", [(-1, 0), (0, 256), (0, float("nan")), (0, float("inf"))])
def test_floats_of_no_known_range_are_refused(tmp_path: Path, values: tuple[float, float]) -> None:
    path = save(np.array([values], np.float32), tmp_path / "a.tif")
    with pytest.raises(UnsupportedPicture, match="its gray values run from"):
        read_image(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_black(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (32, 16), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (8, 4, 16, 8))
    image.convert(mode).save(tmp_path / "a.tif")
    pixels = read_image(str(tmp_path / "a.tif")).pixels
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[5, 10].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16"])
def test_a_transparent_colour_is_black(tmp_path: Path, mode: str) -> None:
    clear = {"P": 0, "L": 255, "RGB": (255, 255, 255), "I;16": 65535}[mode]
    image = Image.new(mode, (8, 8), clear)
    if mode == "P":
        image.putpalette([255, 255, 255, 0, 255, 0])
    image.save(tmp_path / "a.png", transparency=clear)
    assert read_image(str(tmp_path / "a.png")).pixels.max() == 0


def test_half_transparent_white_is_gray(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 128)).save(tmp_path / "a.webp", lossless=True)
    assert read_image(str(tmp_path / "a.webp")).pixels[0, 0].tolist() == [128] * 3


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_an_animation_is_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(picture(i)) for i in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=40)
    with pytest.raises(UnsupportedPicture, match="an animation of 3 frames"):
        read_image(str(tmp_path / name))


def test_the_pages_of_a_tiff_are_no_animation(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert (read_image(str(tmp_path / "a.tif")).pixels == picture(0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_a_photo_is_undone(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture(5)
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    image = read_image(str(tmp_path / "a.png"))
    turned = np.rot90(stored, -image.rotation // 90)
    assert (image.pixels == (turned[:, ::-1] if image.mirrored else turned)).all()
    assert image.mirrored == (orientation in (2, 4, 5, 7))
