"""Which Celery workers a host runs, with what arguments and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import UsageError
from curate.configs.settings import Settings
from curate.tasks.models import device
from curate.worker import processes as module
from curate.worker.processes import WorkerSpec, queues_of, worker_specs
from tests.pipelines import CATALOG, pipeline
from tests.worker.held import Held


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module, "cores", lambda: 8)
    return Settings(home=home)


@pytest.fixture
def npus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The NPUs of the host; a test may change the list."""
    found = [0, 1, 2, 5]
    monkeypatch.setattr(device, "npus", lambda: found)
    return found


def names(found: list[WorkerSpec]) -> list[str]:
    return [plan.name for plan in found]


def test_without_an_npu_one_process_computes_with_all_cores(settings: Settings) -> None:
    assert worker_specs(settings, ["cpu", "ascend"], 3) == [
        WorkerSpec("cpu", 3, "cpu0", threads=1),
        WorkerSpec("ascend", 1, "ascend0", threads=8),
    ]
    assert worker_specs(settings, ["ascend"], 2, prefix="x-") == [
        WorkerSpec("ascend", 2, "x-ascend0", threads=4)
    ]


def test_each_npu_has_a_worker_of_its_own(settings: Settings, npus: list[int]) -> None:
    found = worker_specs(settings, ["cpu", "ascend"], 6)
    assert names(found) == ["cpu0", "ascend0", "ascend1", "ascend2", "ascend5"]
    assert [plan.npu for plan in found] == [None, 0, 1, 2, 5]
    assert [plan.processes for plan in found] == [6, 1, 1, 1, 1]
    assert [plan.threads for plan in found] == [1, 2, 2, 2, 2]


def test_npus_can_be_counted_or_named(settings: Settings, npus: list[int]) -> None:
    assert names(worker_specs(settings, ["ascend"], 2)) == ["ascend0", "ascend1"]
    assert names(worker_specs(settings, ["ascend"], None, [5, 2])) == ["ascend5", "ascend2"]
    for processes, named in ((5, None), (None, [3]), (2, [1])):
        with pytest.raises(UsageError, match="0, 1, 2, 5"):
            worker_specs(settings, ["ascend"], processes, named)


def test_an_only_npu_is_not_pinned(settings: Settings, npus: list[int]) -> None:
    """In a container its number may be another than that of its file."""
    npus[:] = [5]
    (plan,) = worker_specs(settings, ["ascend"])
    assert (plan.name, plan.npu) == ("ascend5", None)


def test_the_setting_cpu_leaves_npus_alone(home: Path, npus: list[int]) -> None:
    settings = Settings(home=home, device="CPU")
    assert names(worker_specs(settings, ["ascend"])) == ["ascend0"]
    with pytest.raises(UsageError, match="none"):
        worker_specs(settings, ["ascend"], None, [0])


def test_an_npu_without_a_device_file_is_left_to_the_driver(home: Path, npus: list[int]) -> None:
    npus.clear()
    (plan,) = worker_specs(Settings(home=home, device="Ascend"), ["ascend"])
    assert plan.npu is None
    assert plan.environment(Settings(home=home, device="Ascend"), {})["CURATE_DEVICE"] == "Ascend"


def test_the_environment_of_a_worker(settings: Settings) -> None:
    cpu = WorkerSpec("cpu", 2, "cpu0").environment(settings, {"PATH": "/bin"})
    assert (cpu["OMP_NUM_THREADS"], cpu["PATH"], cpu["CURATE_HOME"]) == (
        "1",
        "/bin",
        str(settings.folder),
    )
    assert "MALLOC_PERTURB_" not in cpu, "filling every picture costs a quarter of the front end"
    ascend = WorkerSpec("ascend", 1, "ascend0", threads=8).environment(settings, {})
    assert ascend["OPENBLAS_NUM_THREADS"] == "8"
    assert device.VISIBLE not in ascend


def test_a_pin_beats_what_is_inherited_and_threads_do_not(settings: Settings) -> None:
    inherited = {device.VISIBLE: "0,1,2", "OMP_NUM_THREADS": "3"}
    found = WorkerSpec("ascend", 1, "ascend2", threads=4, npu=2).environment(settings, inherited)
    assert (found[device.VISIBLE], found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == (
        "2",
        "3",
        "4",
    )


def test_processes_of_cpu_are_replaced_and_those_with_a_model_are_not() -> None:
    assert WorkerSpec("cpu", 2, "cpu0").options("INFO")["max_tasks_per_child"] == 500
    assert "max_tasks_per_child" not in WorkerSpec("ascend", 1, "a").options("INFO")
    assert not WorkerSpec("ascend", 1, "a").recycled


def test_only_queues_that_a_pipeline_uses_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "held", Held)
    held = {"stage": "held", "folder": "/x"}
    assert queues_of(pipeline("score")) == ["cpu"]
    assert queues_of(pipeline(held, "score")) == ["cpu", "ascend"]
    assert queues_of(pipeline({**held, "enabled": False})) == ["cpu"]
