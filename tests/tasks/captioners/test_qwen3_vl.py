"""Published layouts of Qwen3-VL are read to the last tensor; frames, time stamps and places."""

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
from curate.tasks.captioners import qwen3_vl
from curate.tasks.captioners.qwen3_vl import Qwen3RunOptions, Qwen3Vl
from curate.tasks.captioners.resizing import resize
from curate.tasks.models.verify import missing
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import SpanShape
from tests import tiny_captioners as tiny
from tests import tiny_newer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of Qwen3-VL-8B-Instruct."""
    return tiny_newer.write_qwen3(tmp_path_factory.mktemp("models") / "qwen3_vl")


@pytest.mark.parametrize("tied", [False, True])
def test_every_published_tensor_is_known_and_none_is_left_over(tied: bool, tmp_path: Path) -> None:
    """Of 8B, and of 2B and 4B, whose embeddings are their scores."""
    weights = Weights(tiny_newer.write_qwen3(tmp_path / "model", tied))
    config = Qwen3Vl.configuration(weights.config)
    shapes = {name: tensor.shape for name, tensor in weights.tensors.items()}
    assert shapes == Qwen3Vl.expected(config)


def test_at_the_sizes_of_8b_it_is_as_many_bytes_as_the_published_index_says() -> None:
    """In bfloat16, 2 bytes a number; total_size of model.safetensors.index.json."""
    config = tiny_newer.qwen3_config()
    config["text_config"] |= {
        "hidden_size": 4096, "intermediate_size": 12_288, "num_attention_heads": 32,
        "num_hidden_layers": 36, "num_key_value_heads": 8, "vocab_size": 151_936, "head_dim": 128,
        "rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20]},
    }  # fmt: skip
    config["vision_config"] |= {
        "hidden_size": 1152, "intermediate_size": 4304, "depth": 27, "num_heads": 16,
        "out_hidden_size": 4096, "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    }  # fmt: skip
    shapes = Qwen3Vl.expected(Qwen3Vl.configuration(config)).values()
    assert 2 * sum(math.prod(shape) for shape in shapes) == 17_534_247_392


Change = Callable[[dict[str, Any]], dict[str, Any]]
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (
        lambda t: {k: v for k, v in t.items() if "deepstack_merger_list.1" not in k},
        r"missing: model.visual.deepstack_merger_list.1",
    ),
    "left over": (lambda t: t | {"model.extra": np.zeros(2, np.float32)}, "left over: model.extra"),
    "older names": (
        lambda t: {k.replace("model.visual.", "visual."): v for k, v in t.items()},
        "left over: visual.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_wrong_checkpoint_is_refused(case: str, published: Path, tmp_path: Path) -> None:
    change, why = CHANGES[case]
    copy = shutil.copytree(published, tmp_path / "copy", ignore=shutil.ignore_patterns("model*"))
    tensors = {
        k: v for file in sorted(published.glob("*.safetensors")) for k, v in load_file(file).items()
    }
    save_file(change(tensors), copy / "model.safetensors")
    with pytest.raises(BadModel, match=why):
        Qwen3Vl(copy, "CPU")


def test_an_index_without_its_file_is_told_with_the_command_that_gets_it(
    published: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(published, tmp_path / tiny_newer.QWEN3)
    (copy / "model-00002-of-00002.safetensors").unlink()
    (line,) = missing(qwen3_vl_needs(), tmp_path)
    assert "model-00002-of-00002.safetensors" in line
    assert line.endswith(f"hf download Qwen/{tiny_newer.QWEN3} --local-dir {copy}")


def qwen3_vl_needs() -> Any:
    """What the stage needs by its defaults."""
    from curate.tasks.qwen3_vl import Qwen3VlStage

    return Qwen3VlStage.models(Qwen3VlStage.Options())


CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("", {"model_type": "qwen3_vl_moe"}, "model_type is qwen3_vl_moe, not qwen3_vl"),
    ("vision_config", {"deepstack_visual_indexes": [0, 3]}, "must be layers of the image tower"),
    ("vision_config", {"deepstack_visual_indexes": [0, 1, 2, 0]}, "are more than layers"),
    ("vision_config", {"num_position_embeddings": 15}, "must be a square"),
    ("vision_config", {"patch_size": 14}, "patches must be of 16 x 16 pixels"),
    ("vision_config", {"out_hidden_size": 32}, "must be the hidden_size of the language model"),
    ("text_config", {"rope_scaling": {"mrope_section": [2, 2, 2], "rope_type": "default"}},
        "does not add up"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "change", "why"), CONFIGS)
def test_a_wrong_config_is_refused(part: str, change: dict[str, Any], why: str) -> None:
    config = tiny_newer.qwen3_config()
    (config[part] if part else config).update(change)
    with pytest.raises(ValueError, match=why):
        Qwen3Vl.configuration(json.loads(json.dumps(config)))


def model() -> Qwen3Vl:
    """One without weights."""
    made = object.__new__(Qwen3Vl)
    made.options = Qwen3RunOptions()
    return made


def test_frames_are_chosen_with_their_seconds_in_the_size_that_is_seen() -> None:
    """Of 3 frames too, and of one; resizing them again changes nothing."""
    pick = model().choose_frames(SpanShape(315, 30.0, 1920, 1080))
    assert len(pick.indices) == 21
    assert pick.seconds == [index / 30 for index in pick.indices]
    assert pick.size == (704, 384)
    for frames in (1, 2, 3, 21):
        assert qwen3_vl.resized(frames, 384, 704, 448 * 672) == (384, 704)
    few = model().choose_frames(SpanShape(3, 30.0, 640, 480))
    assert (few.indices, few.size) == ([0, 1, 2], (608, 448))
    assert model().choose_frames(SpanShape(1, None, 640, 480)).seconds == [0.0]


@pytest.mark.parametrize("frames", [1, 3, 7, 768])
@pytest.mark.parametrize("size", [(1, 1), (31, 600), (720, 1280), (2160, 3840), (200, 1000)])
def test_a_chosen_size_stays_as_it_is(frames: int, size: tuple[int, int]) -> None:
    """Multiples of 32 pixels, as many as allowed."""
    once = qwen3_vl.resized(frames, *size, 448 * 672)
    assert qwen3_vl.resized(frames, *once, 448 * 672) == once
    assert all(side and side % 32 == 0 for side in once)
    assert frames * once[0] * once[1] <= 24_576 * 32 * 32


def test_a_frame_that_is_too_long_fails_its_clip() -> None:
    with pytest.raises(StageError, match="qwen3_vl failed: a frame of 6000 x 28 is too long"):
        model().choose_frames(SpanShape(9, 30.0, 6000, 28))


def test_time_stamps_are_those_of_the_middle_of_two_frames() -> None:
    assert qwen3_vl.stamps_of([0.0, 0.5, 1.0]) == [0.25, 1.0]
    assert qwen3_vl.stamps_of([2.0]) == [2.0]
    text = model().stamped("What?", [0.25, 1.0], 2)
    assert text.startswith(
        "<|im_start|>user\n<0.2 seconds><|vision_start|><|video_pad|><|video_pad|><|vision_end|>"
        "<1.0 seconds><|vision_start|>"
    )


def test_learned_positions_lie_on_a_grid_of_any_size() -> None:
    """Those of the table itself where the sizes agree; in between they are means."""
    table = np.arange(4, dtype=np.float32).reshape(4, 1)
    assert qwen3_vl.learned_positions(table, 2, 2).ravel().tolist() == [0, 1, 2, 3]
    wide = qwen3_vl.learned_positions(table, 2, 4).reshape(2, 2, 2, 1)  # two squares of patches
    assert np.allclose(wide[0].ravel(), [0, 1 / 3, 2, 7 / 3])


def test_resizing_keeps_what_is_even_and_averages_what_shrinks() -> None:
    grey = np.full((2, 9, 7, 3), 130, np.uint8)
    assert (resize(grey, 4, 20) == 130).all()
    assert resize(grey, 4, 20).shape == (2, 4, 20, 3)
    stripes = np.zeros((1, 8, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    assert abs(resize(stripes, 8, 8)[:, :, 2:-2].astype(int) - 128).max() <= 3
    videos = tiny.videos()
    assert resize(videos[0], *videos[0].shape[1:3]) is videos[0]
