"""What LLaVA's offspring share: layers of a tower that run, pictures between parts of a text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curate.tasks.captioners.llava import conversation, llama_config, skipped_layers

TOWER = SimpleNamespace(num_hidden_layers=24)


@pytest.mark.parametrize(("config", "skipped"), [({}, 1), ({"layer": -1}, 0), ({"layer": -24}, 23)])
def test_layers_behind_the_one_that_is_used_are_skipped(
    config: dict[str, Any], skipped: int
) -> None:
    assert skipped_layers(config, "layer", TOWER) == skipped


@pytest.mark.parametrize("layer", [0, 3, -25, "-2", [-2]])
def test_a_layer_that_is_not_counted_from_the_end_is_refused(layer: Any) -> None:
    with pytest.raises(ValueError, match="layer must be a layer of the image tower"):
        skipped_layers({"layer": layer}, "layer", TOWER)


def test_a_llama_with_biases_is_refused() -> None:
    with pytest.raises(ValueError, match="are not supported"):
        llama_config({"attention_bias": True})


def test_pictures_lie_between_the_parts_of_a_text() -> None:
    decoder: Any = SimpleNamespace(embed=lambda ids: np.array([[i, i] for i in ids], np.float32))
    picture = np.full((2, 2), 9, np.float32)
    beginning = conversation(decoder, [[1, 2], [3]], [picture])
    assert beginning.embedded[:, 0].tolist() == [1, 2, 9, 9, 3]
    assert beginning.positions.tolist() == [[0, 1, 2, 3, 4]]
    assert beginning.next_position == 5
