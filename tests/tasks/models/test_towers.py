"""CLIP's towers on both engines: loaded once, equal, from whole checkpoints only."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest

from curate.configs.errors import PackageMissing
from curate.tasks.models.catalog import ModelKind
from curate.tasks.models.onnx_session import check_engine, on_onnx

Found = Mapping[str, Any]


def test_both_towers_name_the_weights_by_their_file(found: Found) -> None:
    file = found["towers"]["revision"]
    assert found["towers"]["revisions"] == [file] * 4 and len(file) >= 8


def test_a_cpu_runs_both_on_onnx_runtime(found: Found) -> None:
    assert found["towers"]["kinds"] == ["OnnxImageTower", "OnnxTextTower"]


@pytest.mark.parametrize(
    ("kind", "setting", "on"),
    [("clip", "CPU", True), ("lpips", "CPU", True), ("clip", "Ascend", False),
     ("transnetv2", "CPU", False), ("qwen2_vl", "CPU", False)],
)  # fmt: skip
def test_which_models_need_mindspore_where(kind: ModelKind, setting: str, on: bool) -> None:
    assert on_onnx(kind, setting) == on


@pytest.mark.parametrize(
    ("there", "missing"),
    [("onnxruntime mindspore", ""), ("onnxruntime", ""), ("mindspore", "mindone"),
     ("", "onnxruntime")],
)  # fmt: skip
def test_a_cpu_without_either_engine_is_told_of_the_smaller_one(
    there: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in there.split() or None)
    told = pytest.raises(PackageMissing, match=f"package {missing}") if missing else nullcontext()
    with told:
        check_engine("clip", "CPU")
    with pytest.raises(PackageMissing, match="package mind"):
        check_engine("qwen2_vl", "CPU")


def test_what_towers_say_of_themselves(found: Found) -> None:
    towers = found["towers"]
    assert towers["side"] == [224, 224]
    assert towers["logit_scale"] == pytest.approx([100, 100], rel=1e-5)


def test_a_process_loads_a_tower_once(found: Found) -> None:
    assert found["towers"]["once"] == [True, True]


def test_nothing_gives_nothing(found: Found) -> None:
    assert found["towers"]["none"] == [[[0, 768], "float32"]] * 4


def test_neither_the_rest_of_a_batch_nor_the_engine_changes_embeddings(found: Found) -> None:
    assert len(found["batches"]) == 6
    assert all(difference < 1e-5 for difference in found["batches"]), found["batches"]
    assert found["batches"][2] == 0, "of pictures on ONNX Runtime, to the last digit"


def test_the_activation_is_that_of_the_config(found: Found) -> None:
    gelu = found["gelu"]
    assert all(difference < 1e-5 for difference in gelu["differences"])
    assert gelu["from quick_gelu"] > 1e-3


def test_weights_of_half_precision_are_used_in_float32_on_the_cpu(found: Found) -> None:
    assert found["half"]["dtypes"] == ["float32"] * 2
    assert all(0 < difference < 1e-2 for difference in found["half"]["differences"])


def test_replaced_weights_are_loaded_again(found: Found) -> None:
    before, after = found["replaced"]["revisions"]
    assert found["replaced"]["same"] and before != after


def test_a_tower_holds_few_files_open(found: Found) -> None:
    """Not one a tensor: ViT-L/14 has 590 of them, and 1024 files are all that most hosts allow."""
    assert found["open files"] <= 12


def test_a_lost_device_blames_no_clip(found: Found) -> None:
    kind, message = found["device is lost"]
    assert kind == "NoDevice" and "EE9999" in message


def test_towers_run_in_float16_as_an_npu_has_it(found: Found) -> None:
    assert all(0 < difference < 1e-2 for difference in found["as on an NPU"])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "there is no such folder"),
        (1, "1 of 78 tensors missing"),
        (2, "1 of 78 tensors left over"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused(number: int, words: str, found: Found) -> None:
    kind, message = found["refused"][number]
    assert kind == "BadModel" and words in message
