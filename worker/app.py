"""The Celery app of workers: a task for each stage, `stage.<name>`, runs a turn of batches and
rings the next bells.

Start a worker by hand with ``celery -A curate.worker.app worker -Q cpu --max-tasks-per-child 500``;
`curate worker` does it for you. Importing this module reads the settings from the environment.
"""

from __future__ import annotations

import logging

from celery import Task

from curate.configs.errors import ServiceError
from curate.configs.settings import load_settings
from curate.tasks.registry import stages
from curate.worker.batch import BatchReport
from curate.worker.messages import Messages, make_app
from curate.worker.outages import outages
from curate.worker.runner import Runner

log = logging.getLogger(__name__)

settings = load_settings()
app = make_app(settings)
messages = Messages(app)

FEW = 2  # doorbells in a queue that keep its processes busy: each batch rings for one more

_runner: Runner | None = None


def runner() -> Runner:
    """This process's runner, made after the fork."""
    global _runner
    if _runner is None:
        _runner = Runner(settings)
    return _runner


def _make_task(stage: str) -> Task:
    def run(dataset: int | None = None, partial: bool = False) -> str:
        report = runner().run_for(stage, dataset, partial)
        if report is None:
            return "nothing waiting"
        try:
            ring_after(report)
        except outages() as error:  # the batch is saved; the top-up loop rings again
            log.warning("not rung after a batch of stage %s: %s", stage, error)
        return str(report)

    return app.task(
        run, name=f"stage.{stage}", throws=(ServiceError,)
    )  # said by the runner: no traceback


for _name in stages():
    _make_task(_name)


def ring_after(report: BatchReport) -> None:
    """Ring for what to do next, on the queue of the stage and on that of the stage behind it."""
    names = [s.name for s in report.pipeline.stages]
    here = names.index(report.step.name)
    for queue in sorted({step.options.queue for step in report.pipeline.stages[here : here + 2]}):
        if messages.count_waiting(queue) < FEW and (turn := runner().next_job(queue)):
            messages.send(turn[1], turn[0])
