"""ShareGPT4V's two published folders are read to the last tensor; its frames, its conversation, its
tower's place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import sharegpt4v as layout
from curate.tasks.captioners.sharegpt4v import (
    IMAGE,
    ShareGpt4v,
    ShareGpt4vRunOptions,
    frame_indices,
    padded,
)
from curate.tasks.captioners.vocabulary import PieceVocabulary
from curate.tasks.models.model_cache import weights_state
from curate.tasks.models.verify import check_sharegpt4v, tower_folder
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import SpanShape
from tests import tiny
from tests import tiny_sharegpt4v as published_as
from tests.tiny_captioners import clip_tower, write_json

Arrays = dict[str, Any]
Change = Callable[[Arrays], Arrays]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of Lin-Chen/ShareGPT4V-7B, and its image tower beside it."""
    return published_as.write(tmp_path_factory.mktemp("models"))


def shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in weights.tensors.items()}


def test_every_published_tensor_is_known_and_none_is_left_over(published: Path) -> None:
    weights, tower = Weights(published), Weights(published.parent / published_as.TOWER)
    text, vision = layout.text_config(weights.config), layout.vision_config(tower.config)
    assert shapes(weights) == layout.expected(text, vision)
    assert shapes(tower) == layout.expected_tower(vision)


def test_names_are_those_of_llava() -> None:
    """Some of the names that the published checkpoints have, letter by letter."""
    assert {
        "model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight",
        "model.mm_projector.0.weight", "model.mm_projector.0.bias", "model.mm_projector.2.bias",
    } <= published_as.tensors().keys()  # fmt: skip


def test_at_the_sizes_of_7b_the_projector_is_as_large_as_that_of_llava() -> None:
    """mm_projector.bin of LLaVA 1.5 7B has 41,961,085 bytes: float16 numbers and a pickle."""
    tiny_text, tiny_vision = published_as.config(), published_as.tower_config()
    text = layout.text_config(
        tiny_text | {"hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 32}
    )
    vision = layout.vision_config(tiny_vision | {"hidden_size": 1024, "num_attention_heads": 16})
    found = [s for name, s in layout.expected(text, vision).items() if "mm_projector" in name]
    assert 2 * sum(int(np.prod(s)) for s in found) == 41_959_424


def model_arrays() -> Arrays:
    return dict(published_as.halves(published_as.tensors()))


def tower_arrays() -> Arrays:
    return dict(published_as.brains(dict(clip_tower("", published_as.tower_config()))))


def rewritten(folder: Path, change: Change, of: Callable[[], Arrays] = model_arrays) -> None:
    """Write a folder's pickle anew, in one file, its tensors changed."""
    for file in folder.glob("pytorch_model*"):
        file.unlink()
    published_as.write_pickles(folder, change(of()), 1)


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A copy of both folders."""
    shutil.copytree(published.parent, tmp_path / "models")
    return tmp_path / "models" / published.name


def without(name: str) -> Change:
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


HALF = np.zeros(64, np.float16)
INNER_TOWER = "model.vision_tower.vision_tower.vision_model"
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (without("model.layers.1.mlp.up_proj.weight"),
        "1 of .* missing: model.layers.1.mlp.up_proj.weight"),
    "no projector": (lambda t: {k: v for k, v in t.items() if "mm_pro" not in k},
        "4 of .* missing: model.mm"),
    "left over": (lambda t: t | {"model.image_newline": HALF}, "left over: model.image_newline"),
    "a tower in it": (
        lambda t: t | {f"{INNER_TOWER}.embeddings.class_embedding": HALF}, "left over",
    ),
    "another shape": (
        lambda t: t | {"model.mm_projector.0.weight": np.zeros((64, 33), np.float16)},
        r"another shape: model.mm_projector.0.weight \[64, 33\] instead of \[64, 32\]",
    ),
    "newer names": (
        lambda t: {k.replace("model.", "language_model.model."): v for k, v in t.items()},
        "missing: model.embed",
    ),
    "whole numbers": (lambda t: t | {"model.norm.weight": np.zeros(64, np.int64)},
        "no number: model.norm"),
    "other speeds": (
        lambda t: t | {"model.layers.0.self_attn.rotary_emb.inv_freq": HALF},
        "left over: model.layers.0.self_attn.rot",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_wrong_checkpoint_is_refused(case: str, copy: Path) -> None:
    change, why = CHANGES[case]
    rewritten(copy, change)
    with pytest.raises(BadModel, match=why):
        ShareGpt4v(copy, "CPU")


TOWERS: dict[str, tuple[Change, str]] = {
    "missing": (without("vision_model.encoder.layers.2.mlp.fc1.bias"),
        "missing: .*layers.2.mlp.fc1"),
    "trained layers alone": (
        lambda t: {k: v for k, v in t.items() if ".layers.0." not in k},
        "16 of .* missing: .*layers.0",
    ),
    "left over": (lambda t: t | {"visual_projection.weight": HALF}, "left over: visual_projection"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOWERS)
def test_a_wrong_tower_is_refused(case: str, copy: Path) -> None:
    change, why = TOWERS[case]
    rewritten(copy.parent / published_as.TOWER, change, tower_arrays)
    with pytest.raises(BadModel, match=why):
        ShareGpt4v(copy, "CPU")


def test_what_older_checkpoints_hold_besides_is_let_be(copy: Path) -> None:
    """Speeds of rotary positions in each layer, and numbers of places."""
    speeds = {
        f"model.layers.{n}.self_attn.rotary_emb.inv_freq": np.zeros(8, np.float16) for n in range(2)
    }
    rewritten(copy, lambda arrays: arrays | speeds)
    ids = {"vision_model.embeddings.position_ids": np.arange(65).reshape(1, 65)}
    rewritten(copy.parent / published_as.TOWER, lambda arrays: arrays | ids, tower_arrays)
    looked_at(copy)


def looked_at(folder: Path, tower: Path | None = None) -> ShareGpt4v:
    """A captioner before its networks are loaded."""
    model = object.__new__(ShareGpt4v)
    model.options, weights = ShareGpt4vRunOptions(tower=tower), Weights(folder)
    model.revision = weights.revision
    model.check_weights(weights)
    return model


def test_the_tower_may_be_half_of_a_clip(copy: Path, tmp_path: Path) -> None:
    """As openai/clip-vit-large-patch14-336 is published, in safetensors."""
    whole = tiny.write_clip(tmp_path / "clip")
    side = looked_at(copy_with_width(copy, 64), whole).vision.image_size
    assert side == 224
    check_sharegpt4v(copy, whole)


def copy_with_width(folder: Path, width: int) -> Path:
    """The projector changed to take states of another width."""
    drawn = {"model.mm_projector.0.weight": np.zeros((64, width), np.float16)}
    rewritten(folder, lambda arrays: arrays | drawn)
    return folder


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "llama"}, "model_type is llama, not share4v or llava"),
    ({"mm_projector_type": "linear"}, "mm_projector_type is linear, not mlp2x_gelu"),
    ({"image_aspect_ratio": "anyres"}, "image_aspect_ratio is anyres, not pad"),
    ({"image_aspect_ratio": None}, "image_aspect_ratio is None, not pad"),
    ({"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature is cls_patch"),
    ({"mm_use_im_start_end": True}, "mm_use_im_start_end is True"),
    ({"mm_vision_select_layer": -5}, "mm_vision_select_layer must be a layer"),
    ({"mm_vision_select_layer": 2}, "mm_vision_select_layer must be a layer"),
    ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling"),
    ({"hidden_size": "64"}, "hidden_size must be a whole number"),
    ({"vocab_size": 300}, "another shape: model.embed_tokens"),
    ({"mm_vision_tower": None}, "mm_vision_tower is no name"),
    ({"mm_vision_tower": "a/.."}, "mm_vision_tower is no name"),
    (
        {"mm_vision_tower": "openai/clip-vit-large-patch14-336"},
        "tower clip-vit-large-patch14-336 is neither beside nor",
    ),
]


@pytest.mark.parametrize(("change", "why"), CONFIGS)
def test_a_wrong_config_is_refused(change: dict[str, Any], why: str, copy: Path) -> None:
    write_json(copy / "config.json", published_as.config() | change)
    with pytest.raises(BadModel, match=why):
        ShareGpt4v(copy, "CPU")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "siglip"}, "model_type is siglip, not clip_vision"),
        ({"patch_size": 0}, "patch_size"),
    ],
)
def test_a_wrong_config_of_the_tower_is_refused(
    change: dict[str, Any], why: str, copy: Path
) -> None:
    write_json(
        copy.parent / published_as.TOWER / "config.json", published_as.tower_config() | change
    )
    with pytest.raises(BadModel, match=why):
        ShareGpt4v(copy, "CPU")


def test_more_words_than_rows_are_refused(copy: Path) -> None:
    words = published_as.WORDS - 1
    small = {
        n: np.zeros((words, 64), np.float16)
        for n in ("model.embed_tokens.weight", "lm_head.weight")
    }
    rewritten(copy, lambda arrays: arrays | small)
    write_json(copy / "config.json", published_as.config() | {"vocab_size": words})
    with pytest.raises(BadModel, match=r"tokenizer\.model has more words than its vocab_size"):
        ShareGpt4v(copy, "CPU")


def test_the_tower_is_beside_the_model_or_in_it_or_given(copy: Path, tmp_path: Path) -> None:
    config, beside = published_as.config(), copy.parent / published_as.TOWER
    assert tower_folder(copy, config) == beside
    inside = Path(shutil.move(beside, copy))
    assert tower_folder(copy, config) == inside
    check_sharegpt4v(copy, None)
    moved = Path(shutil.move(inside, tmp_path / "elsewhere"))
    check_sharegpt4v(copy, moved)
    with pytest.raises(BadModel, match="neither beside nor in it"):
        check_sharegpt4v(copy, None)


@pytest.mark.parametrize(
    "name", ["tokenizer.model", "pytorch_model-00002-of-00002.bin", "config.json"]
)
def test_a_folder_that_lacks_a_file_is_refused_before_anything_is_loaded(
    name: str, copy: Path
) -> None:
    (copy / name).unlink()
    with pytest.raises(BadModel, match=rf"{name}|No such file"):
        check_sharegpt4v(copy, None)


def test_the_revision_changes_with_either_folder(copy: Path) -> None:
    before = looked_at(copy).revision
    assert looked_at(copy).revision == before
    tower = copy.parent / published_as.TOWER
    rewritten(tower, lambda arrays: {k: v + 1 for k, v in arrays.items()}, tower_arrays)
    changed = looked_at(copy).revision
    assert changed != before
    rewritten(copy, lambda arrays: {k: v + 1 for k, v in arrays.items()})
    assert looked_at(copy).revision not in (before, changed)
    assert weights_state(copy) is not None


def speaking(published: Path, frames: int = 1) -> ShareGpt4v:
    """A captioner with words and without networks."""
    model = object.__new__(ShareGpt4v)
    model.options = ShareGpt4vRunOptions(frames)
    model.vocabulary, model.begin_id = PieceVocabulary(published / "tokenizer.model"), 1
    return model


def test_the_conversation_is_that_of_vicuna(published: Path) -> None:
    said = speaking(published).conversation("What is seen?")
    assert said.startswith(
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
    )
    assert said.endswith(" to the user's questions. USER: <image>\nWhat is seen? ASSISTANT:")
    before, after = speaking(published).ids("What is seen?")
    assert before[0] == 1
    assert before.count(1) == 1
    assert after[1] == 3 + ord("\n"), "each part begins with the space that every text begins with"
    assert [len(part) for part in speaking(published, 3).ids("x")][1:3] == [2, 2]


def test_a_prompt_with_the_word_for_a_picture_is_refused(published: Path) -> None:
    with pytest.raises(StageError, match="sharegpt4v failed: <image> must not be in a prompt"):
        speaking(published).ids(f"What is {IMAGE}?")


def test_the_middle_frame_is_chosen_as_displayed(published: Path) -> None:
    choice = speaking(published).choose_frames(SpanShape(9, 30.0, 1920, 1080))
    assert (choice.indices, choice.size) == ([4], None)
    assert speaking(published, 3).choose_frames(SpanShape(9, 30.0, 640, 480)).indices == [1, 4, 7]
    assert speaking(published, 3).choose_frames(SpanShape(1, None, 640, 480)).indices == [0, 0, 0]


@given(st.integers(1, 5000), st.integers(1, 6))
def test_frames_lie_evenly_in_the_clip(count: int, wanted: int) -> None:
    chosen = frame_indices(count, wanted)
    assert chosen == sorted(chosen)
    assert 0 <= chosen[0] <= chosen[-1] < count
    if count >= wanted:
        assert (
            max(np.diff([*chosen, chosen[0] + count])) - min(np.diff([*chosen, chosen[0] + count]))
            <= 1
        )
    if count == wanted:
        assert chosen == list(range(count))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_padded_frame_is_a_square_with_the_frame_in_its_middle(frame: Any) -> None:
    height, width, _ = frame.shape
    square = padded(frame)
    side = max(height, width)
    assert square.shape == (side, side, 3)
    top, left = (side - height) // 2, (side - width) // 2
    np.testing.assert_array_equal(square[top : top + height, left : left + width], frame)
    outside = np.ones((side, side), bool)
    outside[top : top + height, left : left + width] = False
    assert (square[outside] == [122, 116, 104]).all()
