"""What references and tests both start from: the same numbers, photos and texts, wherever they are
made.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
TEXTS: list[str] = json.loads((DATA / "texts.json").read_text(encoding="utf-8"))
TOWER_TEXTS = TEXTS[::5]  # those whose features are compared

# (photo, height, width): odd sizes, a frame of 1 pixel, strips, and the sizes that people have
SIZES = [
    ("china", 1, 1), ("china", 3, 500), ("flower", 223, 225), ("china", 224, 224),
    ("flower", 225, 640),
    ("china", 427, 641), ("flower", 640, 31), ("china", 1000, 7), ("flower", 360, 640),
    ("china", 1080, 1920),
    ("flower", 449, 333), ("china", 225, 224), ("flower", 272, 640),
]  # fmt: skip

# (height, width) of the pairs of frames that LPIPS compares
LPIPS_SIZES = [(64, 64), (64, 64), (96, 80), (97, 81), (224, 224), (64, 64)]

Image = NDArray[np.uint8]


def pixels() -> NDArray[np.float32]:
    """12 preprocessed images of noise, (12, 3, 224, 224)."""
    return np.random.RandomState(11).standard_normal((12, 3, 224, 224)).astype(np.float32)


def unit_embeddings() -> NDArray[np.float32]:
    """64 vectors of length 1 and of 768 entries."""
    drawn = np.random.RandomState(12).standard_normal((64, 768))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def photos(folder: Path | None = None) -> dict[str, Image]:
    """The two photos that come with scikit-learn, 427 x 640 x 3; read from its own folder unless
    another is given.
    """
    from PIL import Image as Pictures

    if folder is None:
        found = importlib.util.find_spec("sklearn")  # importing it takes seconds
        assert found and found.origin
        folder = Path(found.origin).parent / "datasets" / "images"
    return {
        name: np.asarray(Pictures.open(folder / f"{name}.jpg").convert("RGB"))
        for name in ("china", "flower")
    }


def checksum(image: Image) -> int:
    """CRC-32 of the decoded photo: another JPEG decoder may differ by a grey level, which no score
    would survive.
    """
    return zlib.crc32(np.ascontiguousarray(image).tobytes())


def sized(photo: Image, height: int, width: int) -> Image:
    """The photo at another size, by repeating and leaving out whole rows and columns: no resampler
    has a say.
    """
    rows, columns = (
        np.arange(n) * full // n for n, full in zip((height, width), photo.shape[:2], strict=True)
    )
    return np.ascontiguousarray(photo[rows][:, columns])


def pairs(found: dict[str, Image]) -> list[tuple[Image, Image]]:
    """Pairs of frames as LPIPS meets them: panned, noisy, darker, another scene, the same frame
    twice.
    """
    random = np.random.RandomState(13)
    made: list[tuple[Image, Image]] = []
    for number, (height, width) in enumerate(LPIPS_SIZES):
        a = sized(found["china"], height, width)
        noisy = np.clip(a + random.randint(-40, 41, a.shape), 0, 255).astype(np.uint8)
        scene = sized(found["flower"], height, width)
        made.append(
            (
                a,
                [np.roll(a, 5, axis=1), scene, noisy, a // 2, np.roll(a, 2, axis=0), a.copy()][
                    number
                ],
            )
        )
    return made
