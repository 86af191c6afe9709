"""The hash of a mirrored picture follows from the hash of the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.hash_pair import HashPair, mirrored
from curate.tasks.video.hashing import perceptual_hash

METHODS = ("phash", "ahash", "dhash", "whash")
texts = st.none() | st.integers(0, 2**64 - 1).map("{:016x}".format)


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", METHODS)
def test_it_is_near_the_hash_of_the_mirrored_picture(method: str, seed: int) -> None:
    coarse = np.random.default_rng(seed).uniform(0, 255, (9, 16, 3)).astype(np.float32)
    image = cv2.resize(coarse, (456, 256)).astype(np.uint8)
    plain, turned = (perceptual_hash(i, method) for i in (image, image[:, ::-1].copy()))
    derived = mirrored(plain, method)
    assert plain is not None and turned is not None and derived is not None
    assert distance(derived, turned) <= 6


@given(texts, st.sampled_from(METHODS))
def test_mirrored_twice_is_the_same(text: str | None, method: str) -> None:
    assert mirrored(mirrored(text, method), method) == text


@given(texts.filter(bool), texts.filter(bool), st.sampled_from(METHODS))
def test_it_does_not_matter_which_of_two_is_mirrored(a: str, b: str, method: str) -> None:
    left, right = mirrored(a, method), mirrored(b, method)
    assert left is not None and right is not None
    assert distance(left, b) == distance(a, right)
    assert distance(left, right) == distance(a, b)


def test_a_pair_is_mirrored_frame_by_frame() -> None:
    pair = HashPair("0" * 16, None)
    assert pair.mirrored("phash") == HashPair("5" * 16, None)
