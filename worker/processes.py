"""The Celery workers that a host runs: one for the queue `cpu`, and one per device for `ascend`.

They differ in their needs. A process of `cpu` uses one core, is replaced now and then, and never
loads MindSpore. A process of `ascend` holds a model, so it is never replaced; without an NPU it
uses every core.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.configs.errors import UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import QUEUES
from curate.configs.settings import PREFIX, Settings
from curate.tasks.models import device

RECYCLE = 500  # messages after which a process of `cpu` is replaced: decoders leak


@dataclass(frozen=True)
class WorkerSpec:
    """One Celery worker. `npu` is the number of the only NPU that it may see; None sets no limit.

    `threads` is for NumPy's BLAS and OpenMP; MindSpore always starts as many threads as there are
    cores.
    """

    queue: str
    processes: int
    name: str
    threads: int = 1
    npu: int | None = None

    @property
    def recycled(self) -> bool:
        """Whether its processes are replaced now and then. Those of `ascend` are not: their model
        takes long to load.
        """
        return self.queue != "ascend"

    def options(self, loglevel: str) -> dict[str, str | int | bool]:
        """The options of Celery's class `Worker`."""
        recycled = {"max_tasks_per_child": RECYCLE} if self.recycled else {}
        return {
            "hostname": f"{self.name}@{socket.gethostname()}", "queues": self.queue,
            "concurrency": self.processes, "pool_cls": "prefork", "loglevel": loglevel,
            "without_gossip": True, "without_mingle": True, **recycled,
        }  # fmt: skip

    def environment(
        self, settings: Settings, inherited: Mapping[str, str] = os.environ
    ) -> dict[str, str]:
        """The environment of the worker.

        Inherited variables override the number of threads, but no setting, not even an empty one;
        the pinned NPU overrides everything.
        """
        libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        ours = dict.fromkeys(libraries, str(self.threads))
        pinned = {} if self.npu is None else device.pinned(self.npu)
        names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
        others = {name: value for name, value in inherited.items() if name not in names}
        return ours | others | settings.environment() | pinned

    def __str__(self) -> str:
        where = "" if self.npu is None else f" on NPU {self.npu}"
        plural = "" if self.processes == 1 else "es"
        return f"{self.name} serves {self.queue} with {self.processes} process{plural}{where}"


def worker_specs(
    settings: Settings,
    queues: Sequence[str],
    processes: int | None = None,
    npus: Sequence[int] | None = None,
    prefix: str = "",
) -> list[WorkerSpec]:
    """The workers that serve the queues on this host, named by prefix, queue and device.

    `processes` (None: one per core) is for `cpu`. If only `ascend` is served, it is how many NPUs
    to use, or how many processes on the CPU (None: one). `npus` names the NPUs to use (None: all
    that this process may use). Raises UsageError for NPUs that are not there.
    """
    specs = []
    for queue in queues:
        if queue == "ascend":
            count = processes if len(queues) == 1 else None
            specs += _for_models(settings, count, npus, prefix)
        else:
            specs.append(WorkerSpec(queue, processes or cores(), f"{prefix}{queue}0"))
    return specs


def _for_models(
    settings: Settings, processes: int | None, npus: Sequence[int] | None, prefix: str
) -> list[WorkerSpec]:
    """The workers of `ascend`: one per NPU, or a single one on the CPU if there is no NPU."""
    present = device.npus() if device.target_of(settings.device) == "Ascend" else []
    names = ", ".join(map(str, present)) or "none"
    for npu in npus or ():
        if npu not in present:
            raise UsageError(what=f"--npus {npu}: the NPUs that may be used here are: {names}")
    chosen = list(present if npus is None else dict.fromkeys(npus))
    if chosen and processes and processes > len(chosen):
        raise UsageError(
            what=f"-c {processes}: one process an NPU, and the NPUs that may be used here are:"
            f" {names}"
        )
    if not chosen:  # the CPU, or an NPU without a device file, which only the driver knows
        count = processes or 1
        return [WorkerSpec("ascend", count, f"{prefix}ascend0", max(1, cores() // count))]
    chosen = chosen[:processes]
    threads = max(1, cores() // len(chosen))
    # a single NPU is not pinned: in a container its number may differ from that of its file
    pins = len(present) > 1
    return [
        WorkerSpec("ascend", 1, f"{prefix}ascend{n}", threads, n if pins else None) for n in chosen
    ]


def queues_of(pipeline: Pipeline) -> list[str]:
    """The queues that the stages of a pipeline go to."""
    used = {step.options.queue for step in pipeline.stages}
    return [queue for queue in QUEUES if queue in used]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
