"""CLIP's towers: loaded once, in batches of one size, from whole checkpoints only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

Found = Mapping[str, Any]


def test_both_towers_name_the_weights_by_their_file(found: Found) -> None:
    image, text, file = found["towers"]["revisions"]
    assert image == text == file and len(file) >= 8


def test_what_towers_say_of_themselves(found: Found) -> None:
    towers = found["towers"]
    assert (towers["side"], towers["width"]) == (224, 768)
    assert towers["logit_scale"] == pytest.approx(100, rel=1e-5)


def test_a_process_loads_a_tower_once(found: Found) -> None:
    assert found["towers"]["once"] == [True, True]


def test_nothing_gives_nothing(found: Found) -> None:
    assert found["towers"]["none"] == [[[0, 768], "float32"]] * 2


def test_what_else_is_in_a_batch_and_what_fills_it_up_changes_nothing(found: Found) -> None:
    assert all(difference < 1e-5 for difference in found["batches"])


def test_weights_of_half_precision_are_used_in_float32_on_the_cpu(found: Found) -> None:
    assert found["half"]["dtype"] == "float32"
    assert 0 < found["half"]["difference"] < 1e-2


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
