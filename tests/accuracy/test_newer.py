"""Qwen3-VL and InternVL on MindSpore prepare videos as their published processors do, and write
word for word what transformers wrote on PyTorch, greedily, on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from numpy.typing import NDArray

from tests import tiny_captioners as tiny
from tests.accuracy import inputs
from tests.accuracy.captions import BEGINNING, INTERNVLS, LARGEST, LENGTH, same, words_of
from tests.accuracy.compare import Compare, arrays

pytestmark = pytest.mark.accuracy
Arrays = Mapping[str, NDArray[Any]]
REFERENCES = "newer"  # for the fixtures said and numbers
FAMILIES = ("qwen3_vl", *INTERNVLS)
KINDS = ("video", "picture")


@pytest.fixture(scope="module")
def found(cases: Mapping[str, Any]) -> dict[str, Any]:
    """What our captioners wrote."""
    return dict(cases["newer"])


@pytest.fixture(scope="module")
def seen(found: Mapping[str, Any]) -> Arrays:
    """What they computed on the way."""
    return arrays(found["arrays"])


def test_the_videos_are_those_of_the_references(said: Mapping[str, Any]) -> None:
    assert [inputs.checksum(video) for video in tiny.videos()] == said["videos"]


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_knows_every_tensor(family: str, said: Mapping[str, Any]) -> None:
    """So the layout that ours are held against is the published one."""
    assert not any(said[f"{family} keys"].values())


@pytest.mark.parametrize("bounds", range(len(LARGEST)))
@pytest.mark.parametrize("video", range(3))
def test_qwen3_prepares_videos_as_published(
    video: int, bounds: int, found: Mapping[str, Any], said: Mapping[str, Any], seen: Arrays,
    numbers: Arrays, compare: Compare,
) -> None:  # fmt: skip
    """Which frames, grid and pixels, and every token with the time stamps; odd counts too."""
    for what in (f"chosen {video}", f"grid {video} {bounds}", f"prompt {video} {bounds}"):
        assert found[f"qwen3_vl {what}"] == said[f"qwen3_vl {what}"]
    name = f"qwen3_vl patches {video} {bounds}"
    same(name, seen[name], numbers, compare)


@pytest.mark.parametrize("video", range(3))
def test_what_the_tower_of_qwen3_sees_and_where(
    video: int, found: Mapping[str, Any], said: Mapping[str, Any], seen: Arrays, numbers: Arrays,
    compare: Compare,
) -> None:  # fmt: skip
    assert found["qwen3_vl conversation"] == said["qwen3_vl conversation"]
    assert found[f"qwen3_vl {video} places"] == said[f"qwen3_vl {video} places"]
    same(f"qwen3_vl {video} seen", seen[f"qwen3_vl {video} seen"], numbers, compare)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", INTERNVLS)
def test_internvl_prepares_and_sees_as_published(
    name: str, kind: str, found: Mapping[str, Any], said: Mapping[str, Any], seen: Arrays,
    numbers: Arrays, compare: Compare,
) -> None:  # fmt: skip
    """Frames, tiles of a picture, and every token: of 2.5 and 3, and of 3.5 on a Qwen3."""
    for video in range(3):
        key = f"{name} {kind} {video}"
        assert found[f"{name} chosen {video}"] == said[f"{name} chosen {video}"]
        assert found[f"{key} prompt"] == said[f"{key} prompt"]
        for what in (f"{key} tiles", f"{key} seen"):
            same(what, seen[what], numbers, compare)


@pytest.mark.parametrize("name", INTERNVLS)
def test_internvl_writes_the_same_words(
    name: str, found: Mapping[str, Any], said: Mapping[str, Any]
) -> None:
    """Alone, and in a batch of clips and pictures of different lengths."""
    assert len(found[f"{name} alone"]) == 6
    for which, ours in found[f"{name} alone"].items():
        theirs = said[f"{name} {which}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == theirs["ids"][: words_of(name, which)]
        if words_of(name, which) == LENGTH:
            assert ours["text"] == theirs["text"].strip()
        assert found[f"{name} together"][which]["ids"] == ours["ids"][:BEGINNING]


def test_qwen3_writes_the_same_words(found: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Alone, and in a batch of clips of different lengths."""
    for video, ours in enumerate(found["qwen3_vl alone"]):
        theirs = said[f"qwen3_vl {video}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == theirs["ids"]
        assert ours["text"] == theirs["text"].strip()
        assert found["qwen3_vl together"][video]["ids"] == ours["ids"][:BEGINNING]
