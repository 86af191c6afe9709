"""What captioners are asked, by the references and by the tests alike, and how large arrays are
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SYSTEM, QUESTION = "Look closely.", "What is to be seen?"
LENGTH = 24  # words
BEGINNING = 6  # words of answers that are held against the beginning of others
FRAMES = 4
PICTURES = (1, 3)  # frames that ShareGPT4V sees
POOLINGS = ((4, 4, 4), (6, 3, 5), (2, 8, 3))  # less, more and fewer frames than there are

INTERNVLS = ("internvl3", "internvl3.5")

FPS = 2.0  # at which transformers and Qwen's own code agree about the places of Qwen2.5-VL
RATES = (2.6, 1.9, 4.0)  # frames a second of the videos as Qwen3-VL is told
LARGEST = (25_165_824, 64 * 64)  # pixels of its frames: nearly any, and few
BOUNDS = (
    (56 * 56, 112 * 112),
    (128 * 28 * 28, 448 * 672),
)  # pixels of frames: small, and those of the seed


def words_of(name: str, which: str) -> int:
    """How many words of an InternVL are compared: all of a video by the first one."""
    return LENGTH if (name, which[:5]) == (INTERNVLS[0], "video") else BEGINNING


def digest(name: str, array: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """What of an array is kept, by name: its shape, every 61st number, and the means along each of
    two halves.

    Each as one row, so that differences are relative to the whole of it.
    """
    flat = np.asarray(array, np.float64).reshape(len(array), -1)
    return {
        f"{name} shape": np.array(array.shape),
        f"{name} sample": flat.reshape(1, -1)[:, ::61].astype(np.float32),
        f"{name} rows": flat.mean(axis=1)[None],
        f"{name} columns": flat.mean(axis=0)[None, ::7].astype(np.float32),
    }  # fmt: skip


def same(
    name: str, ours: NDArray[Any], numbers: Mapping[str, NDArray[Any]], compare: Callable[..., None]
) -> None:
    """Compare an array with the digest of a reference."""
    for part, value in digest(name, ours).items():
        if part.endswith("shape"):
            np.testing.assert_array_equal(value, numbers[part])
        else:
            compare(part, value, numbers[part])
