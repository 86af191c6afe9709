"""ShareGPT4V on MindSpore, from its published layout, writes word for word what transformers' LLaVA
wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.tasks.captioners import sharegpt4v
from tests import tiny_captioners as tiny
from tests.accuracy import inputs
from tests.accuracy.captions import BEGINNING, PICTURES, same
from tests.accuracy.compare import Compare

pytestmark = pytest.mark.accuracy
Arrays = Mapping[str, NDArray[Any]]
REFERENCES = "sharegpt4v"  # for the fixtures said and numbers


@pytest.fixture(scope="module")
def found(cases: Mapping[str, Any]) -> dict[str, Any]:
    """What our captioner wrote."""
    return dict(cases["captions"])


def test_the_references_are_of_these_videos_and_of_every_tensor(said: Mapping[str, Any]) -> None:
    """So transformers' LLaVA has no tensor that the published layout lacks, and the other way
    round.
    """
    assert [inputs.checksum(video) for video in tiny.videos()] == said["videos"]
    assert said["keys"] == {"missing": [], "unexpected": []}


@pytest.mark.parametrize("frames", PICTURES)
@pytest.mark.parametrize("video", range(3))
def test_pixels(frames: int, video: int, numbers: Arrays, compare: Compare) -> None:
    """The middle frame, or those of three parts, padded to squares: wide, tall and very wide."""
    drawn = tiny.videos()[video]
    chosen = drawn[sharegpt4v.frame_indices(len(drawn), frames)]
    pixels = np.stack([sharegpt4v.pixels(frame, 112) for frame in chosen])
    same(f"pixels {video} {frames}", pixels, numbers, compare)


@pytest.mark.parametrize("frames", PICTURES)
@pytest.mark.parametrize("video", range(3))
def test_features(
    frames: int, video: int, features: Arrays, numbers: Arrays, compare: Compare
) -> None:
    """Tower in bfloat16 and projector in float16, both read as float32."""
    same(
        f"features {video} {frames}",
        features[f"sharegpt4v features {video} {frames}"],
        numbers,
        compare,
    )


@pytest.mark.parametrize("frames", PICTURES)
def test_conversation(frames: int, found: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Its words are those of transformers' LlamaTokenizer on SentencePiece."""
    assert found[f"sharegpt4v prompt {frames}"] == said[f"0 {frames}"]["prompt"]


@pytest.mark.parametrize("frames", PICTURES)
def test_writes_the_same_words(
    frames: int, found: Mapping[str, Any], said: Mapping[str, Any]
) -> None:
    """Two of three answers of one frame end by themselves; texts are those of SentencePiece."""
    for video, ours in enumerate(found[f"sharegpt4v alone {frames}"]):
        theirs = said[f"{video} {frames}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == (theirs["ids"] if frames == 1 else theirs["ids"][:BEGINNING])
        if frames == 1:
            assert ours["text"] == theirs["text"].strip()


@pytest.mark.parametrize("frames", PICTURES)
def test_writes_the_same_in_a_batch(frames: int, found: Mapping[str, Any]) -> None:
    alone = [a["ids"][:BEGINNING] for a in found[f"sharegpt4v alone {frames}"]]
    assert [a["ids"] for a in found[f"sharegpt4v together {frames}"]] == alone


def test_drawn_words_follow_from_the_seed(found: Mapping[str, Any]) -> None:
    one, again, other = ([a["ids"] for a in found[f"sharegpt4v drawn {n}"]] for n in range(3))
    assert one == again
    assert one != other
