"""Qwen3-VL on MindSpore prepares videos as its published processor does, and writes word for word
what transformers wrote on PyTorch, greedily, on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from numpy.typing import NDArray

from tests import tiny_captioners as tiny
from tests.accuracy import inputs
from tests.accuracy.captions import BEGINNING, LARGEST, same
from tests.accuracy.compare import Compare, arrays

pytestmark = pytest.mark.accuracy
Arrays = Mapping[str, NDArray[Any]]
REFERENCES = "newer"  # for the fixtures said and numbers
FAMILIES = ("qwen3_vl",)


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


@pytest.mark.parametrize("family", FAMILIES)
def test_writes_the_same_words(
    family: str, found: Mapping[str, Any], said: Mapping[str, Any]
) -> None:
    """Alone, and in a batch of clips of different lengths."""
    for video, ours in enumerate(found[f"{family} alone"]):
        theirs = said[f"{family} {video}"]
        assert theirs["smallest lead"] > 5e-4, "a reference that rounding could change"
        assert ours["ids"] == theirs["ids"]
        assert ours["text"] == theirs["text"].strip()
        assert found[f"{family} together"][video]["ids"] == ours["ids"][:BEGINNING]
