"""The tensors that a config stands for, and configs that stand for none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.models.catalog import CATALOG
from curate.tasks.models.layouts import BadConfig, expected
from tests import tiny


def test_vit_l_14_has_the_published_tensors() -> None:
    """428 million parameters in 590 tensors, as in openai/clip-vit-large-patch14."""
    shapes = expected("clip", tiny.clip_config("vit-l-14"))
    assert sum(int(np.prod(s)) for s in shapes.values()) == 427_616_513
    assert shapes["vision_model.embeddings.position_embedding.weight"] == (257, 1024)
    file_bytes = 4 * 427_616_513 + 8 * (77 + 257)
    assert abs(CATALOG[tiny.CLIP].files[2].size - file_bytes) < 100_000  # the rest is the header


BAD_SIZES = st.one_of(
    st.integers(max_value=0), st.integers(min_value=400_000), st.text(), st.none(), st.booleans()
)


@given(st.sampled_from(["text_config", "vision_config"]), st.data())
def test_a_hostile_config_is_refused(tower: str, data: st.DataObject) -> None:
    config = tiny.clip_config()
    known = {
        "text_config": [
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "max_position_embeddings",
        ],
        "vision_config": [
            "hidden_size",
            "num_hidden_layers",
            "image_size",
            "patch_size",
            "num_attention_heads",
        ],
    }
    config[tower][data.draw(st.sampled_from(known[tower]))] = data.draw(BAD_SIZES)
    with pytest.raises(BadConfig):
        expected("clip", config)


@pytest.mark.parametrize(
    "change",
    [
        {"text_config": []}, {"model_type": "siglip"}, {"projection_dim": 10**12},
        {"vision_config": {"hidden_size": 65, "num_attention_heads": 4}},
        {"vision_config": {"image_size": 16, "patch_size": 32}},
        {"vision_config": {"num_channels": 1}}, {"text_config": {"hidden_act": "tanh"}},
        {"vision_config": {"hidden_act": 1}}, {"vision_config": {"layer_norm_eps": 2.0}},
    ],
)  # fmt: skip
def test_a_config_of_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadConfig):
        expected("clip", tiny.clip_config() | change)


def test_older_configs_are_read_as_transformers_does() -> None:
    """Where there is text_config_dict, it wins over text_config, and its defaults do too."""
    config = tiny.clip_config() | {
        "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12}
    }
    assert expected("clip", config)["text_model.final_layer_norm.bias"] == (768,)
    assert expected("clip", {})["vision_model.post_layernorm.bias"] == (768,)
