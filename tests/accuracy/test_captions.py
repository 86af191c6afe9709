"""Captioners on MindSpore write word for word what transformers wrote on PyTorch, greedily, on the
CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.tasks.captioners import pllava, qwen_frames
from tests import tiny_captioners as tiny
from tests.accuracy import inputs
from tests.accuracy.captions import BEGINNING, BOUNDS, FRAMES, LENGTH, POOLINGS, same
from tests.accuracy.compare import Compare

pytestmark = pytest.mark.accuracy
Arrays = Mapping[str, NDArray[Any]]
REFERENCES = "captions"  # for the fixtures said and numbers
FAMILIES = ("qwen2_vl", "qwen2_5_vl")
POOLED = ["x".join(map(str, shape)) for shape in POOLINGS]


@pytest.fixture(scope="module")
def found(cases: Mapping[str, Any]) -> dict[str, Any]:
    """What our captioners wrote."""
    return dict(cases["captions"])


def test_the_videos_are_those_of_the_references(said: Mapping[str, Any]) -> None:
    assert [inputs.checksum(video) for video in tiny.videos()] == said["videos"]


@pytest.mark.parametrize("video", range(3))
def test_pllava_pixels(video: int, numbers: Arrays, compare: Compare) -> None:
    """Frames chosen by the seed's rule, resized three times."""
    frames = tiny.videos()[video]
    chosen = frames[pllava.frame_indices(len(frames), FRAMES)]
    pixels = np.stack([pllava.pixels(frame, 112) for frame in chosen])
    same(f"pllava pixels {video}", pixels, numbers, compare)


@pytest.mark.parametrize("shape", POOLED)
@pytest.mark.parametrize("video", range(3))
def test_pllava_features(
    shape: str, video: int, features: Arrays, numbers: Arrays, compare: Compare
) -> None:
    """Tower, projector and pooling."""
    same(
        f"pllava {video} {shape} features",
        features[f"pllava {shape} features {video}"],
        numbers,
        compare,
    )


@pytest.mark.parametrize("shape", POOLED)
def test_pllava_writes_the_same_words(
    shape: str, found: Mapping[str, Any], said: Mapping[str, Any]
) -> None:
    """With LoRA merged here and not there; to the end with one pooling."""
    length = LENGTH if shape == POOLED[0] else BEGINNING
    for video, ours in enumerate(found[f"pllava {shape} alone"]):
        theirs = said[f"pllava {video} {shape}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == theirs["ids"][:length]
        if length == LENGTH:
            assert ours["text"] == theirs["text"].split("ASSISTANT:")[-1].strip()


def test_pllava_writes_the_same_in_a_batch(found: Mapping[str, Any]) -> None:
    alone = [a["ids"][:BEGINNING] for a in found[f"pllava {POOLED[0]} alone"]]
    assert [a["ids"] for a in found["pllava together"]] == alone
    assert [a["ids"] for a in found["pllava one"]] == alone[:1]


def test_pllava_conversation(found: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    assert found["pllava prompt"] == said[f"pllava 0 {POOLED[0]}"]["prompt"]


def test_drawn_words_follow_from_the_seed_and_not_from_the_batch(found: Mapping[str, Any]) -> None:
    one, again, other = ([a["ids"] for a in found[f"pllava drawn {n}"]] for n in range(3))
    assert one == again
    assert one != other
    assert len({tuple(ids) for ids in one}) == 3


@pytest.mark.parametrize("bounds", range(len(BOUNDS)))
@pytest.mark.parametrize("video", range(3))
def test_qwen_patches(
    video: int, bounds: int, said: Mapping[str, Any], numbers: Arrays, compare: Compare
) -> None:
    """Size, order and numbers of the patches; five frames make three pairs."""
    patches, grid = qwen_frames.patches(
        tiny.videos()[video], qwen_frames.PixelBounds(*BOUNDS[bounds])
    )
    assert list(grid) == said[f"qwen grid {video} {bounds}"]
    same(f"qwen patches {video} {bounds}", patches, numbers, compare)


@pytest.mark.parametrize("family", FAMILIES)
class TestQwen:
    """Qwen2-VL and Qwen2.5-VL against transformers' own."""

    def test_transformers_knows_every_tensor(self, family: str, said: Mapping[str, Any]) -> None:
        """So the layout that ours are held against is the published one."""
        assert not any(said[f"{family} keys"].values())

    def test_conversation(
        self, family: str, found: Mapping[str, Any], said: Mapping[str, Any]
    ) -> None:
        """By the chat template of the checkpoints."""
        assert found[f"{family} conversation"] == said[f"{family} conversation"]

    @pytest.mark.parametrize("video", range(3))
    def test_words_and_places(
        self, video: int, family: str, found: Mapping[str, Any], said: Mapping[str, Any]
    ) -> None:
        assert found[f"{family} prompt {video}"] == said[f"{family} {video}"]["prompt"]
        assert found[f"{family} places {video}"] == said[f"{family} places {video}"]

    @pytest.mark.parametrize("video", range(3))
    def test_what_the_tower_sees(
        self, video: int, family: str, features: Arrays, numbers: Arrays, compare: Compare
    ) -> None:
        same(f"{family} seen {video}", features[f"{family} seen {video}"], numbers, compare)

    def test_writes_the_same_words(
        self, family: str, found: Mapping[str, Any], said: Mapping[str, Any]
    ) -> None:
        """And the answer only; of Qwen2.5-VL with its repetition penalty."""
        for video, ours in enumerate(found[f"{family} alone"]):
            theirs = said[f"{family} {video}"]
            assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
            assert ours["ids"] == theirs["ids"]
            assert ours["tokens"] == len(theirs["ids"])
            assert ours["text"] == theirs["text"].strip()

    def test_writes_the_same_in_a_batch(self, family: str, found: Mapping[str, Any]) -> None:
        """Clips of 300, 36 and 98 words."""
        assert [a["ids"] for a in found[f"{family} together"]] == [
            a["ids"][:BEGINNING] for a in found[f"{family} alone"]
        ]

    def test_stops_at_an_end_mark(self, family: str, found: Mapping[str, Any]) -> None:
        """Which is left out; other clips of the batch go on."""
        end, alone, early = (found[f"{family} {what}"] for what in ("end", "alone", "early"))
        begun = [a["ids"][:BEGINNING] for a in alone]
        cut = [ids[: ids.index(end)] if end in ids else ids for ids in begun]
        assert [a["ids"] for a in early] == cut
        assert len(cut[0]) < BEGINNING
