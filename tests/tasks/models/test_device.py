"""Devices, with the CPU as target: there is no NPU where this was written."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import DeviceMemory, NoDevice, PackageMissing, ServiceError
from curate.tasks.models import device
from curate.tasks.models.device import VISIBLE, Device, npus, pinned, target_of


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The device files of a host with four NPUs, one of them with a number of two digits."""
    for name in (
        "davinci0",
        "davinci1",
        "davinci2",
        "davinci10",
        "davinci_manager",
        "davinci1p",
        "null",
        "xdavinci3",
    ):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [0, 1, 2, 10]),
        ({VISIBLE: "1"}, [1]),
        ({VISIBLE: " 10, 0"}, [0, 10]),
        ({VISIBLE: "7"}, []),
        ({VISIBLE: ""}, []),
        ({VISIBLE: "none,2,-1"}, [2]),
    ],
    ids=str,
)
def test_npus_are_the_device_files_that_this_process_may_use(
    environ: dict[str, str], expected: list[int], host: Path
) -> None:
    assert npus(environ, host) == expected


def test_a_host_without_device_files_has_no_npu(tmp_path: Path) -> None:
    assert npus({}, tmp_path) == npus({}, tmp_path / "nowhere") == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_a_pinned_process_sees_its_npu_only(number: int) -> None:
    assert pinned(number) == {VISIBLE: str(number)}


@pytest.mark.parametrize("number", [0, 2, 10])
def test_pinning_and_finding_agree(number: int, host: Path) -> None:
    assert npus(pinned(number), host) == [number]


def test_auto_is_ascend_where_there_is_an_npu(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "npus", lambda: npus({}, host))
    assert [target_of(setting) for setting in ("auto", "CPU", "Ascend")] == [
        "Ascend",
        "CPU",
        "Ascend",
    ]
    monkeypatch.setattr(device, "npus", list)
    assert [target_of(setting) for setting in ("auto", "CPU", "Ascend")] == ["CPU", "CPU", "Ascend"]


def test_an_npu_holds_half_precision_unless_asked_otherwise_and_a_cpu_never_does() -> None:
    asked: list[device.Dtype] = ["auto", "float16", "float32"]
    assert [Device("Ascend").weights_dtype(dtype) for dtype in asked] == [
        "float16",
        "float16",
        "float32",
    ]
    assert [Device("CPU").weights_dtype(dtype) for dtype in asked] == [
        "float32",
        "float32",
        "float32",
    ]


@pytest.mark.parametrize("package", ["mindspore", "mindone", "transformers", "tokenizers"])
def test_a_package_that_is_not_there_is_named_with_how_to_get_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else real(name, *rest),
    )
    with pytest.raises(PackageMissing, match=package) as error:
        device.check_installed()
    assert device.INSTALL in str(error.value)


def test_one_version_of_mindone_is_named_everywhere() -> None:
    root = Path(__file__).parents[3]
    pinned = f"mindone=={device.MINDONE}"
    named = {
        file: re.findall(r"(?<=[ \"'`])mindone(?:==[0-9.]+)?(?=[ \"'`]|$)", line)
        for file in ("README.md", "pyproject.toml", "docs/ascend.md")
        for line in (root / file).read_text().splitlines()
        if "--no-deps" in line or "models = [" in line
    }
    assert named == {file: [pinned] for file in named}
    assert len(named) == 3
    assert device.INSTALL.endswith(pinned)


def test_the_cpu_is_started_once(found: Mapping[str, Any]) -> None:
    assert found["devices"]["CPU"] == found["devices"]["auto"] == "CPU"
    assert found["devices"]["once"]


def test_asking_for_an_npu_where_there_is_none_says_what_to_do(found: Mapping[str, Any]) -> None:
    kind, message = found["devices"]["Ascend"]
    assert kind == "NoDevice"
    assert message.startswith("The device Ascend cannot be used: ")
    assert "Set CURATE_DEVICE to auto or CPU" in message and "\n" not in message


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "Allocate memory failed\n"
            " - C++ Call Stack: device_address_utils.cc:1300 MallocForOutputs",
            DeviceMemory,
        ),
        ("Device(id:0) memory isn't enough and alloc failed, kernel name: Softmax", DeviceMemory),
        ("Out of memory", DeviceMemory),
        ("Ascend kernel runtime initialization failed", NoDevice),
        ("Call aclnnMatmul failed, detail: EZ9999", NoDevice),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_told_from_a_lost_device(said: str, kind: type[Exception]) -> None:
    with pytest.raises(ServiceError) as error, device.device_errors(Device("CPU")):
        raise RuntimeError(said)
    assert type(error.value) is kind


def test_memory_that_cannot_be_had_is_such_an_error(found: Mapping[str, Any]) -> None:
    kind, message = found["devices"]["memory"]
    assert (kind, "curate set STAGE.pass_size=1" in message) == ("DeviceMemory", True), message


def test_mindone_is_used_without_all_its_other_models_and_without_torch(
    found: Mapping[str, Any],
) -> None:
    assert found["light"] == {"models": ["clip"], "torch": False}
