"""Published layouts of InternVL are read to the last tensor; frames, tiles and conversations."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import internvl
from curate.tasks.captioners.internvl import NEWER, OLDER, InternVl, InternVlRunOptions
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.models.catalog import Need
from curate.tasks.models.verify import missing
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import SpanShape
from tests import tiny_captioners as tiny
from tests import tiny_newer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of InternVL3-8B-hf."""
    return tiny_newer.write_internvl(tmp_path_factory.mktemp("models") / "internvl")


@pytest.mark.parametrize("newer", [False, True])
def test_every_published_tensor_is_known_and_none_is_left_over(newer: bool, tmp_path: Path) -> None:
    """By the names of InternVL3 on a Qwen2, and those that transformers writes now, on a Qwen3."""
    weights = Weights(tiny_newer.write_internvl(tmp_path / "model", newer))
    config = InternVl.configuration(weights.config)
    shapes = {name: tensor.shape for name, tensor in weights.tensors.items()}
    assert shapes == InternVl.expected(config, NEWER if newer else OLDER)


@pytest.mark.parametrize(
    ("gone", "added", "why"),
    [
        ("vision_tower.encoder.layer.1.lambda_2", "", "missing: vision_tower.encoder.layer.1.lam"),
        ("", "vision_tower.extra", "left over: vision_tower.extra"),
    ],
)
def test_a_wrong_checkpoint_is_refused(
    gone: str, added: str, why: str, published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / "copy", ignore=shutil.ignore_patterns("model*"))
    tensors = {
        k: v for file in sorted(published.glob("*.safetensors")) for k, v in load_file(file).items()
    }
    tensors.pop(gone, None)
    extra = {added: np.zeros(2, np.float32)} if added else {}
    save_file(tensors | extra, copy / "model.safetensors")
    with pytest.raises(BadModel, match=why):
        InternVl(copy, "CPU")


CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("", {"model_type": "internvl_chat"}, "the folder must be one for transformers, as OpenGVLab"),
    ("", {"text_config": None}, "is no object"),
    ("", {"image_seq_length": 5}, "image_seq_length does not follow"),
    ("", {"vision_feature_layer": -2}, "only the last layer"),
    ("", {"downsample_ratio": 0.25}, "2 x 2 patches must be a word"),
    ("text_config", {"model_type": "llama"}, "its language model is llama; only qwen2 and qwen3"),
    ("text_config", {"hidden_size": True}, "hidden_size must be a whole number"),
    ("text_config", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "only rope_scaling of"),
    ("vision_config", {"use_mask_token": True}, "no mask_token"),
    ("vision_config", {"image_size": [56, 28]}, "must be squares"),
]


@pytest.mark.parametrize(("part", "change", "why"), CONFIGS)
def test_a_wrong_config_is_refused(part: str, change: dict[str, Any], why: str) -> None:
    config = tiny_newer.internvl_config()
    (config[part] if part else config).update(change)
    with pytest.raises(ValueError, match=why):
        InternVl.configuration(config)


def test_a_folder_in_the_authors_own_layout_is_told_with_the_command_that_gets_the_other(
    published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / tiny_newer.INTERNVL)
    config = tiny_newer.internvl_config() | {"model_type": "internvl_chat"}
    tiny.write_json(copy / "config.json", config)
    (line,) = missing([Need("internvl", tiny_newer.INTERNVL)], tmp_path)
    assert "model_type is internvl_chat, not internvl" in line
    assert line.endswith(f"hf download OpenGVLab/{tiny_newer.INTERNVL} --local-dir {copy}")


def model(published: Path, most: int = 4096) -> InternVl:
    """One without weights."""
    made = object.__new__(InternVl)
    made.options = InternVlRunOptions(4, 6)
    made.config = InternVl.configuration(tiny_newer.internvl_config())
    made.config.text_config.max_position_embeddings = most
    made.vocabulary = Vocabulary(published)
    made.tile_id = made.vocabulary.id("<IMG_CONTEXT>")
    embed: Any = SimpleNamespace(embed=lambda ids: np.zeros((len(ids), 64), np.float32))
    made.decoder = embed
    see: Any = SimpleNamespace(see=lambda tiles: np.ones((len(tiles) * 4, 64), np.float32))
    made.tower = see
    return made


def test_frames_are_the_middles_of_equal_parts_and_a_single_one_keeps_its_size(
    published: Path,
) -> None:
    pick = model(published).choose_frames(SpanShape(9, 30.0, 640, 360))
    assert (pick.indices, pick.size) == ([1, 3, 5, 7], (56, 56))
    assert model(published).choose_frames(SpanShape(3, 30.0, 640, 360)).indices == [0, 1, 2]
    alone = model(published).choose_frames(SpanShape(1, None, 640, 360))
    assert (alone.indices, alone.size) == ([0], None)


def test_frames_are_numbered_and_a_picture_is_tiles_and_the_whole(published: Path) -> None:
    made = model(published)
    clip = np.zeros((2, 56, 112, 3), np.uint8)
    text = made.vocabulary.text(made.beginning(clip, "What?").ids)
    assert text == "user\nFrame1: \nFrame2: \nWhat?\nassistant\n"
    assert made.tiles(clip).shape == (2, 56, 56, 3)
    wide = made.tiles(clip[:1])
    assert wide.shape == (3, 56, 56, 3)  # 2 x 1 tiles, and both as one
    begun = made.beginning(clip[:1], "What?")
    assert list(begun.ids).count(made.tile_id) == 12
    assert begun.embedded.sum() == 12 * 64
    assert begun.next_position == len(begun.ids)


def test_a_clip_that_cannot_be_asked_about_fails_alone(published: Path) -> None:
    clip = np.zeros((2, 56, 56, 3), np.uint8)
    with pytest.raises(StageError, match="must not be in a prompt"):
        model(published).beginning(clip, "What is <IMG_CONTEXT>?")
    with pytest.raises(StageError, match="tokens of at most 20"):
        model(published, 20).beginning(clip, "What?")


@pytest.mark.parametrize(
    ("size", "grid"),
    [((720, 1280), (4, 2)), ((1280, 720), (2, 4)), ((448, 448), (1, 1)), ((2000, 2000), (3, 3)),
     ((100, 1100), (11, 1)), ((1080, 1920), (4, 2))],
)  # fmt: skip
def test_a_picture_is_cut_into_tiles_of_its_form(size: tuple[int, int], grid: Any) -> None:
    """Columns and rows as get_optimal_tiled_canvas of transformers has them, 12 at most."""
    assert internvl.tiling(*size, 448, 12) == grid
