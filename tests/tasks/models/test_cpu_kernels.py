"""Cells in the place of those that MindSpore cannot run on the CPU: equal, and only where they are
needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curate.tasks.models import cpu_kernels

Found = Mapping[str, Any]


def test_convolution_is_that_of_numpy(found: Found) -> None:
    """60 random ones: windows, strides and paddings that differ by axis, with and without bias, one
    picture or more.
    """
    cases = found["convolutions"]
    assert len(cases) == 60
    wrong = [
        c for c in cases if not (isinstance(c["difference"], float) and c["difference"] < 1e-4)
    ]
    assert wrong == []


def test_weights_are_shared_and_parameters_keep_their_names(found: Found) -> None:
    for case in found["convolutions"]:
        before, after = case["names"]
        assert case["shared"] and before == after


def test_each_cell_is_still_needed(found: Found) -> None:
    """When this fails, MindSpore has the kernel: take the entry out of cpu_kernels.py."""
    said = found["still needed"]
    assert said.keys() == {entry.cell for entry in cpu_kernels.MISSING_KERNELS}
    for entry in cpu_kernels.MISSING_KERNELS:
        assert said[entry.cell], (
            f"{entry.cell} runs on the CPU by itself: its entry is needed no longer"
        )
        assert entry.kernel in said[entry.cell][1], "something else is wrong"


def test_cells_are_replaced_at_any_depth_and_on_the_cpu_only(found: Found) -> None:
    kinds = found["filled in"]
    assert kinds["Ascend"] == kinds["before"]
    assert kinds["before"].count("Conv2d") == 2
    assert kinds["CPU"] == [kind.replace("Conv2d", "Convolution") for kind in kinds["before"]]
    assert kinds["in a row"] == ["ReLU", "Convolution"]


def test_what_the_replacement_cannot_do_is_refused(found: Found) -> None:
    assert [kind for kind, _ in found["filled in"]["refused"]] == ["NotImplementedError"] * 3


def test_normalization_and_gelu_are_those_of_numpy(found: Found) -> None:
    assert found["activations"]["LayerNorm"] < 1e-5
    assert max(found["activations"]["GELU"]) < 1e-5


def test_constants_are_those_of_mint(found: Found) -> None:
    made = found["activations"]
    assert made["constants"] == [
        [[0, 1, 2, 3], "Int64"], [[1, 3, 5, 7], "Float32"], [[[-1.5] * 3] * 2, "Float32"],
        [[7, 7], "Int64"],
    ]  # fmt: skip
    assert made["passed on"]
    assert [kind for kind, _ in made["needed"]] == ["RuntimeError"] * 2, (
        "MindSpore has these: take them out of Mint"
    )
