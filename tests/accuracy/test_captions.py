"""Captioners on MindSpore write word for word what transformers wrote on PyTorch, greedily, on the CPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.tasks.caption.models import pllava_frames
from tests import tiny_captioners as tiny
from tests.accuracy import inputs
from tests.accuracy.captions import FRAMES, POOLINGS, digest
from tests.accuracy.compare import Compare, arrays

pytestmark = pytest.mark.accuracy
Arrays = Mapping[str, NDArray[Any]]
POOLED = ["x".join(map(str, shape)) for shape in POOLINGS]


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What the references wrote."""
    return dict(json.loads((inputs.DATA / "captions.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def numbers() -> Arrays:
    """The arrays of the references, in digest."""
    return arrays(inputs.DATA / "captions.npz")


@pytest.fixture(scope="module")
def found(cases: Mapping[str, Any]) -> dict[str, Any]:
    """What our captioners wrote."""
    return dict(cases["captions"])


@pytest.fixture(scope="module")
def features(found: Mapping[str, Any]) -> Arrays:
    """What our captioners computed on the way."""
    return arrays(found["arrays"])


def same(name: str, ours: NDArray[Any], numbers: Arrays, compare: Compare) -> None:
    """Compare an array with the digest of a reference."""
    for part, value in digest(name, ours).items():
        if part.endswith("shape"):
            np.testing.assert_array_equal(value, numbers[part])
        else:
            compare(part, value, numbers[part])


def test_the_videos_are_those_of_the_references(said: Mapping[str, Any]) -> None:
    assert [inputs.checksum(video) for video in tiny.videos()] == said["videos"]


@pytest.mark.parametrize("video", range(3))
def test_pllava_pixels(video: int, numbers: Arrays, compare: Compare) -> None:
    """Frames chosen by the seed's rule, resized three times."""
    frames = tiny.videos()[video]
    chosen = frames[pllava_frames.frame_indices(len(frames), FRAMES)]
    pixels = np.stack([pllava_frames.pixels(frame, 112) for frame in chosen])
    same(f"pllava pixels {video}", pixels, numbers, compare)


@pytest.mark.parametrize("shape", POOLED)
@pytest.mark.parametrize("video", range(3))
def test_pllava_features(shape: str, video: int, features: Arrays, numbers: Arrays, compare: Compare) -> None:
    """Tower, projector and pooling."""
    same(f"pllava {video} {shape} features", features[f"pllava {shape} features {video}"], numbers, compare)


@pytest.mark.parametrize("shape", POOLED)
def test_pllava_writes_the_same_words(shape: str, found: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """With LoRA merged here and not there."""
    for video, ours in enumerate(found[f"pllava {shape} alone"]):
        theirs = said[f"pllava {video} {shape}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == theirs["ids"]
        assert ours["text"] == theirs["text"].split("ASSISTANT:")[-1].strip()


def test_pllava_writes_the_same_in_a_batch(found: Mapping[str, Any]) -> None:
    assert [a["ids"] for a in found["pllava together"]] == [a["ids"] for a in found[f"pllava {POOLED[0]} alone"]]


def test_pllava_conversation(found: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    assert found["pllava prompt"] == said[f"pllava 0 {POOLED[0]}"]["prompt"]


def test_drawn_words_follow_from_the_seed_and_not_from_the_batch(found: Mapping[str, Any]) -> None:
    one, again, other = ([a["ids"] for a in found[f"pllava drawn {n}"]] for n in range(3))
    assert one == again
    assert one != other
    assert len({tuple(ids) for ids in one}) == 3
