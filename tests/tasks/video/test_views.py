"""Views of a picture: mirrored, cropped, marked and letterboxed copies have equal or near ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.hamming import popcount
from curate.tasks.video.views import (
    MIRROR,
    RATIO,
    VIEWS,
    decode_views,
    encode_views,
    hash_frames,
    hash_views,
    without_bars,
)

words = st.integers(1, 2**64 - 1)


def gray(seed: int, size: tuple[int, int] = (228, 128)) -> np.ndarray:
    """A soft texture, like footage out of focus."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (9, 16)).astype(np.float32)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def middle(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = (round(side * scale) for side in image.shape)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def bits(a: np.ndarray, b: np.ndarray) -> list[int]:
    return popcount(a ^ b).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_mirror_image_differs_by_the_mirror_bits(seed: int) -> None:
    image = gray(seed)
    assert max(bits(hash_views(image) ^ MIRROR, hash_views(image[:, ::-1]))) <= 2
    assert min(bits(hash_views(image), hash_views(image[:, ::-1]))) > 15


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_crop_is_a_smaller_view_of_its_source(seed: int, step: int) -> None:
    image = gray(seed)
    source, crop = hash_views(image), hash_views(middle(image, RATIO**step))
    assert max(bits(crop[: VIEWS - step], source[step:])) <= 8


@pytest.mark.parametrize("corner", [np.s_[4:16, 170:220], np.s_[108:126, 4:44]])
def test_a_mark_in_a_corner_is_outside_the_smallest_views(corner: tuple[slice, slice]) -> None:
    image = gray(3)
    marked = image.copy()
    marked[corner] = 255 - marked[corner]
    assert bits(hash_views(image), hash_views(marked))[-2:] == [0, 0]


def test_black_bars_are_left_out() -> None:
    image = np.maximum(gray(4), 40)
    tall, wide = np.pad(image, ((20, 20), (0, 0))), np.pad(image, ((0, 0), (30, 30)))
    for barred in (tall, wide):
        assert (without_bars(barred) == image).all()


def test_pictures_with_bars_are_hashed_with_and_without_them() -> None:
    image = np.maximum(gray(4), 40)
    barred = np.pad(image, ((20, 20), (0, 0)))
    whole, inside = decode_views(hash_frames([barred, image]))
    assert whole.tolist() == [hash_views(barred).tolist(), hash_views(image).tolist()]
    assert inside.tolist() == [hash_views(image).tolist()] * 2
    assert len(decode_views(hash_frames([image]))) == 1


def test_a_dark_picture_is_not_taken_for_bars() -> None:
    image = np.zeros((128, 228), np.uint8)
    image[50:60, 100:120] = 255
    assert without_bars(image).shape == image.shape
    assert without_bars(np.zeros_like(image)).shape == image.shape


def test_a_flat_view_is_0_and_no_other() -> None:
    assert hash_views(np.full((128, 228), 90, np.uint8)).tolist() == [0] * VIEWS
    framed = np.full((128, 228), 90, np.uint8)
    framed[:8] = 200
    found = hash_views(framed)
    assert found[0] != 0 and found[-1] == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (40, 1), (7, 300)])
def test_the_smallest_pictures_have_views(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, size, np.uint8)
    assert hash_views(image).shape == (VIEWS,)


@given(st.lists(st.lists(words, min_size=VIEWS, max_size=VIEWS), max_size=5))
def test_a_text_holds_all_views(frames: list[list[int]]) -> None:
    arrays = [np.array(frame, np.uint64) for frame in frames]
    assert [take.tolist() for take in decode_views(encode_views([arrays, arrays]))] == [frames] * 2


def test_a_text_leaves_flat_pictures_out() -> None:
    flat, frame = np.zeros(VIEWS, np.uint64), np.arange(1, VIEWS + 1, dtype=np.uint64)
    (take,) = decode_views(encode_views([[flat, frame, flat]]))
    assert take.tolist() == [frame.tolist()]
    (nothing,) = decode_views(encode_views([[flat]]))
    assert nothing.shape == (0, VIEWS)


@pytest.mark.parametrize("text", [None, "", "2:AAAAAAAAAAA=", "AAAAAAAAAAA="])
def test_no_text_and_another_form_have_no_frames(text: str | None) -> None:
    assert decode_views(text) == []


def test_a_picture_keeps_its_views_at_half_the_size() -> None:
    large = gray(3, (456, 256))
    small = cv2.resize(large, (228, 128), interpolation=cv2.INTER_AREA)
    assert max(bits(hash_views(large), hash_views(small))) <= 4
