"""Published layouts of Qwen2-VL and Qwen2.5-VL are read to the last tensor; frames, patches and
places.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import qwen_frames
from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl
from curate.tasks.captioners.qwen2_vl import Qwen2Vl
from curate.tasks.captioners.qwen_frames import PixelBounds
from curate.tasks.captioners.qwen_vl import VIDEO, Family, QwenRunOptions, QwenVl
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import SpanShape
from tests import tiny_captioners as tiny

CLASSES: dict[Family, type[QwenVl]] = {"qwen2_vl": Qwen2Vl, "qwen2_5_vl": Qwen25Vl}


@pytest.fixture(scope="module", params=CLASSES)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of a 7B-Instruct, named after its family."""
    return tiny.write_qwen(tmp_path_factory.mktemp("models") / request.param, request.param)


def family(folder: Path) -> Family:
    return "qwen2_vl" if folder.name == "qwen2_vl" else "qwen2_5_vl"


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("of", CLASSES)
def test_every_published_tensor_is_known_and_none_is_left_over(
    of: Family, tied: bool, tmp_path: Path
) -> None:
    """Of 7B, and of 2B and 3B, whose embeddings are their scores."""
    weights = Weights(tiny.write_qwen(tmp_path / of, of, tied))
    config = CLASSES[of].configuration(weights.config)
    shapes = {name: tensor.shape for name, tensor in weights.tensors.items()}
    assert shapes == CLASSES[of].expected(config)
    assert CLASSES[of].head(config) == ("model.embed_tokens.weight" if tied else "lm_head.weight")
    assert ("lm_head.weight" in weights.tensors) is not tied


Change = Callable[[dict[str, Any]], dict[str, Any]]
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda t: {k: v for k, v in t.items() if k != "visual.merger.mlp.2.bias"},
        "missing: visual.merger"),
    "left over": (lambda t: t | {"visual.extra": np.zeros(2, np.float32)},
        "left over: visual.extra"),
    "another shape": (
        lambda t: t | {"visual.patch_embed.proj.weight": np.zeros((32, 3, 2, 14, 15), np.float32)},
        r"another shape: visual.patch_embed.proj.weight \[32, 3, 2, 14, 15\] "
        r"instead of \[32, 3, 2, 14, 14\]",
    ),
    "newer names": (
        lambda t: {k.replace("visual.", "model.visual."): v for k, v in t.items()},
        "left over: model.v",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_wrong_checkpoint_is_refused(case: str, published: Path, tmp_path: Path) -> None:
    change, why = CHANGES[case]
    copy = shutil.copytree(published, tmp_path / "copy", ignore=shutil.ignore_patterns("model*"))
    tensors = {
        k: v for file in sorted(published.glob("*.safetensors")) for k, v in load_file(file).items()
    }
    save_file(
        {k: np.ascontiguousarray(v) for k, v in change(tensors).items()}, copy / "model.safetensors"
    )
    with pytest.raises(BadModel, match=why):
        CLASSES[family(published)](copy, "CPU")


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "qwen3_vl"}, "model_type is qwen3_vl"),
    ({"vision_config": None}, "is no object"),
    ({"hidden_size": True}, "hidden_size must be a whole number"),
    ({"rope_scaling": {"type": "yarn", "factor": 4}}, "only rope_scaling of type mrope"),
    ({"rope_scaling": {"type": "mrope", "mrope_section": [2, 2, 2]}}, "does not add up"),
    ({"use_sliding_window": True}, "no sliding window"),
    ({"video_token_id": 9}, "another number"),
]


@pytest.mark.parametrize(("change", "why"), CONFIGS)
def test_a_wrong_config_is_refused(
    change: dict[str, Any], why: str, published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    tiny.write_json(copy / "config.json", json.loads((copy / "config.json").read_text()) | change)
    with pytest.raises(BadModel, match=why):
        CLASSES[family(published)](copy, "CPU")


@pytest.mark.parametrize(
    "given", [{"eos_token_id": "x"}, {"repetition_penalty": 0}, {"repetition_penalty": "1"}]
)
def test_a_wrong_generation_config_is_refused(
    given: dict[str, Any], published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    tiny.write_json(copy / "generation_config.json", given)
    with pytest.raises(BadModel, match="is no number"):
        CLASSES[family(published)](copy, "CPU")


def test_frames_are_chosen_in_the_size_that_is_seen() -> None:
    """So resizing them again changes nothing."""
    model = object.__new__(Qwen2Vl)
    model.options = QwenRunOptions()
    choice = model.choose_frames(SpanShape(300, 30.0, 1920, 1080))
    assert len(choice.indices) == 40
    assert choice.size == (728, 392)
    assert qwen_frames.resized(392, 728, PixelBounds()) == (392, 728)
    assert model.choose_frames(SpanShape(1, None, 640, 480)).indices == [0]


def test_a_frame_that_is_too_long_fails_its_clip() -> None:
    model = object.__new__(Qwen2Vl)
    model.options = QwenRunOptions()
    with pytest.raises(StageError, match="qwen2_vl failed: a frame of 6000 x 28 is too long"):
        model.choose_frames(SpanShape(9, 30.0, 6000, 28))


def test_a_prompt_with_the_word_for_a_clip_is_refused(published: Path) -> None:
    model = object.__new__(CLASSES[family(published)])
    model.options = QwenRunOptions()
    model.vocabulary = Vocabulary(published)
    model.video_id = model.vocabulary.id(VIDEO)
    with pytest.raises(StageError, match=r"video_pad\|> must not be in a prompt"):
        model.beginning(tiny.videos()[0], f"What is {VIDEO}?")


@pytest.mark.parametrize(
    ("of", "total"), [("qwen2_vl", 16_582_751_232), ("qwen2_5_vl", 16_584_333_312)]
)
def test_at_the_sizes_of_7b_it_is_as_many_bytes_as_the_published_index_says(
    of: Family, total: int
) -> None:
    """In bfloat16, 2 bytes a number; total_size of model.safetensors.index.json."""
    newer = of == "qwen2_5_vl"
    config = tiny.qwen_config(of) | {
        "hidden_size": 3584, "intermediate_size": 18_944, "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4, "vocab_size": 152_064,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    wide = {
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "out_hidden_size": 3584,
        "window_size": 112,
    }
    tower = wide if newer else {"embed_dim": 1280, "mlp_ratio": 4, "hidden_size": 3584}
    config["vision_config"] |= tower | {"depth": 32, "num_heads": 16}
    shapes = CLASSES[of].expected(CLASSES[of].configuration(config)).values()
    assert 2 * sum(math.prod(shape) for shape in shapes) == total
