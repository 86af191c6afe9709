"""PLLaVA's published layout is read to the last tensor, its frames are chosen and averaged as
published.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import pllava as layout
from curate.tasks.captioners.pllava import (
    IMAGE,
    Pllava,
    PllavaRunOptions,
    averages,
    frame_indices,
    merged,
)
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.models.weights import Weights
from tests import tiny_captioners as tiny

PEFT = "language_model.base_model.model."


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of ermu2001/pllava-7b."""
    return tiny.write_pllava(tmp_path_factory.mktemp("models") / tiny.PLLAVA)


def needed(weights: Weights) -> dict[str, tuple[int, ...]]:
    """What the layout says a folder must hold."""
    text, vision = layout.text_config(weights.config), layout.vision_config(weights.config)
    return layout.expected(text, vision, layout.naming(weights.tensors))


def test_every_published_tensor_is_known_and_none_is_left_over(published: Path) -> None:
    weights = Weights(published)
    assert {name: tensor.shape for name, tensor in weights.tensors.items()} == needed(weights)


def test_names_are_those_of_peft() -> None:
    """Some of the names that the authors' checkpoints have, letter by letter."""
    names = tiny.pllava_tensors()
    assert {
        f"{PEFT}model.embed_tokens.weight", f"{PEFT}lm_head.weight", f"{PEFT}model.norm.weight",
        f"{PEFT}model.layers.1.self_attn.q_proj.base_layer.weight",
        f"{PEFT}model.layers.1.self_attn.q_proj.lora_A.default.weight",
        f"{PEFT}model.layers.1.self_attn.v_proj.lora_B.default.weight",
        f"{PEFT}model.layers.0.self_attn.k_proj.weight",
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.bias",
        "multi_modal_projector.linear_1.bias",
    } <= names.keys()  # fmt: skip


def test_a_folder_without_lora_has_the_names_of_llava(tmp_path: Path) -> None:
    weights = Weights(tiny.write_pllava(tmp_path / "plain", lora=False))
    assert {name: tensor.shape for name, tensor in weights.tensors.items()} == needed(weights)
    assert merged(weights, layout.naming(weights.tensors), 4) is weights


def test_lora_of_older_peft_has_no_base_layer(published: Path, tmp_path: Path) -> None:
    copy = altered(
        published, tmp_path, lambda t: {k.replace(".base_layer", ""): v for k, v in t.items()}
    )
    weights = Weights(copy)
    names = layout.naming(weights.tensors)
    assert {name: tensor.shape for name, tensor in weights.tensors.items()} == needed(weights)
    name = names.published("model.layers.0.self_attn.q_proj.weight")
    new, old = merged(weights, names, 4).arrays([name])[0], weights.arrays([name])[0]
    assert np.abs(new - old).max() > 0.1


def test_lora_is_merged_where_it_is_and_nowhere_else(published: Path) -> None:
    weights = Weights(published)
    names = layout.naming(weights.tensors)
    assert names.rank == tiny.RANK
    both = merged(weights, names, 4.0)
    for name in layout.llama_tensors(layout.text_config(weights.config)):
        called, pair = names.published(name[0]), names.lora(name[0])
        (new,), (old,) = both.arrays([called]), weights.arrays([called])
        if pair is None:
            np.testing.assert_array_equal(new, old)
        else:
            down, up = weights.arrays(pair)
            np.testing.assert_allclose(new, old + 4.0 / tiny.RANK * up @ down, rtol=1e-5, atol=1e-6)


def altered(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Path:
    """A copy of a folder whose tensors, in one file, were changed."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, copy)
    tensors = {
        k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()
    }
    save_file(
        {k: np.ascontiguousarray(v) for k, v in change(tensors).items()}, copy / "model.safetensors"
    )
    return copy


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


QUERY = f"{PEFT}model.layers.0.self_attn.q_proj"
CHANGES = {
    "missing": (without(f"{PEFT}model.layers.1.mlp.up_proj.weight"),
        "1 of .* missing: .*layers.1.mlp.up_proj.weight"),
    "half a change": (without(f"{QUERY}.lora_B.default.weight"),
        "missing: .*q_proj.lora_B.default.weight"),
    "left over": (lambda t: t | {"image_newline": np.zeros(64, np.float32)},
        "left over: image_newline"),
    "another shape": (
        lambda t: t | {f"{PEFT}lm_head.weight": np.zeros((tiny.WORDS, 65), np.float32)},
        r"another shape: .*lm_head.weight \[320, 65\] instead of \[320, 64\]",
    ),
    "another rank": (
        lambda t: t | {f"{QUERY}.lora_A.default.weight": np.zeros((5, 64), np.float32)},
        "another shape: .*lora_",
    ),
    "whole numbers": (
        lambda t: t | {f"{PEFT}model.norm.weight": np.zeros(64, np.int64)},
        "no number: .*model.norm.weight is I64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_wrong_checkpoint_is_refused(case: str, published: Path, tmp_path: Path) -> None:
    change, why = CHANGES[case]
    with pytest.raises(BadModel, match=why):
        Pllava(altered(published, tmp_path, change), "CPU")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text_config": {"model_type": "mistral"}}, "mistral, not llama"),
        (
            {
                "text_config": {
                    "model_type": "llama",
                    "rope_scaling": {"type": "linear", "factor": 2},
                }
            },
            "rope_scaling",
        ),
        ({"vision_config": {"hidden_size": "64"}}, "hidden_size must be a whole number"),
        ({"vision_feature_layer": 3}, "vision_feature_layer"),
        ({"text_config": []}, "text_config is no object"),
        ({"image_token_index": 7}, "another number"),
    ],
)
def test_a_wrong_config_is_refused(
    change: dict[str, Any], why: str, published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    tiny.write_json(
        copy / "config.json", json.loads((published / "config.json").read_text()) | change
    )
    with pytest.raises(BadModel, match=why):
        Pllava(copy, "CPU")


def index(change: Callable[[dict[str, str]], Any], folder: Path) -> None:
    """Change what the index of a folder says."""
    file = folder / "model.safetensors.index.json"
    found = json.loads(file.read_text())
    change(found["weight_map"])
    file.write_text(json.dumps(found))


@pytest.mark.parametrize(
    "where", ["../elsewhere.safetensors", "/etc/passwd", "model-00009-of-00003.safetensors"]
)
def test_an_index_names_files_of_its_folder_only(
    where: str, published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    index(lambda names: names.update({f"{PEFT}lm_head.weight": where}), copy)
    with pytest.raises(BadModel, match="is not there"):
        Weights(copy)


def test_an_index_that_disagrees_with_its_files_is_refused(published: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    index(lambda names: names.pop(f"{PEFT}lm_head.weight"), copy)
    with pytest.raises(BadModel, match=r"disagree about .*lm_head"):
        Weights(copy)


def test_the_revision_changes_with_the_weights(published: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    assert Weights(copy).revision == Weights(published).revision
    file = copy / "model-00003-of-00003.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert Weights(copy).revision != Weights(published).revision


def test_a_prompt_with_the_word_for_a_picture_is_refused(published: Path) -> None:
    model = object.__new__(Pllava)
    model.options = PllavaRunOptions()
    model.vocabulary = Vocabulary(published)
    model.image_id = model.vocabulary.id(IMAGE)
    assert model.ids("What is seen?").count(model.image_id) == 1
    with pytest.raises(StageError, match="pllava failed: <image> must not be in a prompt"):
        model.ids(f"What is {IMAGE}?")


@given(st.integers(1, 5000), st.integers(1, 64))
def test_frames_lie_in_the_clip_in_order(count: int, wanted: int) -> None:
    chosen = frame_indices(count, wanted)
    assert len(chosen) == wanted
    assert chosen == sorted(chosen)
    assert 0 <= chosen[0] <= chosen[-1] < count


def test_frames_of_a_known_clip() -> None:
    """(n - 1) / k = 24.75: 12 and then a part apart, 49.5 rounded to the even 50."""
    assert frame_indices(100, 4) == [12, 37, 62, 86]
    assert frame_indices(11, 4) == [1, 3, 6, 9]
    assert frame_indices(1, 4) == [0, 0, 0, 0]


@given(st.integers(1, 30), st.integers(1, 30))
def test_averages_keep_what_is_constant(count: int, wanted: int) -> None:
    matrix = averages(count, wanted)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
    assert (matrix.sum(axis=0) > 0).all() or wanted > count or count % wanted, "all is looked at"
