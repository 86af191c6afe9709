"""The Celery app of workers, with a task for each stage, `stage.<name>`.

A task runs batches for a while, then sends the next messages. `curate worker` starts workers; by
hand, use ``celery -A curate.worker.app worker -Q cpu --max-tasks-per-child 500``. Importing this
module reads the settings from the environment.
"""

from __future__ import annotations

import gc
import logging
from typing import Any

from billiard.process import active_children
from celery import Task, signals

from curate.configs.errors import ServiceError
from curate.configs.settings import load_settings
from curate.tasks.registry import stages
from curate.worker import stopping
from curate.worker.broker import outages
from curate.worker.messages import Messages, make_app
from curate.worker.runner import Runner

log = logging.getLogger(__name__)

settings = load_settings()
app = make_app(settings)
messages = Messages(app)

DECODING = "cpu"  # the queue of stages that decode, and load no model
# waiting messages that suffice to keep a queue's processes busy, as each task sends the next one
FEW = 2

_processes = 1  # of this worker
_runner: Runner | None = None


def runner() -> Runner:
    """This process's runner, made after the fork."""
    global _runner
    if _runner is None:
        _runner = Runner(settings, processes=_processes)
    return _runner


def _make_task(stage: str) -> Task:
    def run(dataset: int | None = None, partial: bool = False) -> str:
        try:
            report = runner().run_for(stage, dataset, partial)
        except stopping.Stopped:
            return "given up: the worker stops"
        if report is None:
            return "nothing waiting"
        try:
            names = [step.name for step in report.pipeline.stages]
            index = names.index(report.step.name)
            # of the stage itself and of the stage after it
            queues = {step.options.queue for step in report.pipeline.stages[index : index + 2]}
            for queue in sorted(queues):
                if messages.count_waiting(queue) < FEW and (job := runner().next_job(queue)):
                    dataset_id, step = job
                    messages.send(step, dataset_id)
        except outages() as error:  # the batch is saved, and the dispatcher will send a message
            log.warning("no message sent after a batch of stage %s: %s", stage, error)
        return str(report)

    # the runner logs these errors, without a traceback
    return app.task(
        run, name=f"stage.{stage}", throws=(ServiceError,), Request="curate.worker.request:Request"
    )


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _before_fork(sender: Any, **_: Any) -> None:
    """What the processes inherit when they are forked."""
    global _processes
    _processes = sender.concurrency
    stopping.listen()
    if set(sender.app.amqp.queues.consume_from) == {DECODING}:
        preload()
        gc.freeze()  # or each process would copy all objects when it looks for garbage


def preload() -> None:
    """Import what stages need before the processes are forked: they share it, and one that takes
    the place of another does not import it again.
    """
    for name, cls in stages().items():
        try:
            cls.preload()
        except Exception as error:  # noqa: BLE001  each batch of the stage says so
            log.info("stage %s: not all of it can be imported: %s", name, error)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _tell_processes_to_stop(**_: Any) -> None:
    stopping.tell(child.pid for child in active_children())


for _name in stages():
    _make_task(_name)
