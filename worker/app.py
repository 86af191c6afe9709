"""The Celery app: one task a stage, named `stage.<name>`, that runs one batch and rings the next bells.

Start a worker by hand with ``celery -A curate.worker.app worker -Q cpu``; `curate worker` does it for you.
"""

from __future__ import annotations

from celery import Celery, Task

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.settings import load_settings
from curate.db.claims import waiting
from curate.tasks.registry import stages
from curate.worker.config import PRIORITIES, celery_settings
from curate.worker.runner import Report, Runner

settings = load_settings()
app = Celery("curate", set_as_current=False)
app.conf.update(celery_settings(settings))

_runner: Runner | None = None


def runner() -> Runner:
    """This process's runner, made after the fork."""
    global _runner
    if _runner is None:
        _runner = Runner(settings)
    return _runner


def _make_task(stage: str) -> Task:
    def run() -> str:
        report = runner().run_one(stage)
        if report is None:
            return "nothing waiting"
        ring_after(report)
        return str(report)

    return app.task(run, name=f"stage.{stage}")


for _name in stages():
    _make_task(_name)


def ring(step: StageStep, pipeline: Pipeline) -> None:
    """Ring the doorbell of a stage. The deepest stage is served first, so that clips finish early."""
    depth = [s.name for s in pipeline.stages].index(step.name)
    priority = max(0, PRIORITIES - 1 - depth)
    app.send_task(f"stage.{step.name}", queue=step.options.queue, priority=priority)


def ring_after(report: Report) -> None:
    """Ring whatever has rows to claim among the stage itself and the one behind it."""
    names = [s.name for s in report.pipeline.stages]
    here = names.index(report.step.name)
    dataset = report.dataset_id
    for step in waiting(runner().engine, dataset, report.pipeline):
        if step.name in names[here : here + 2] and queue_length(step.options.queue) < MANY:
            ring(step, report.pipeline)


MANY = 64  # doorbells in a queue; more would only say the same again


def queue_length(queue: str) -> int:
    """How many doorbells wait in a queue."""
    with app.connection_or_acquire() as connection:
        channel = connection.default_channel
        return int(channel.queue_declare(queue, passive=not _is_redis()).message_count)


def _is_redis() -> bool:
    return str(app.conf.broker_url).startswith("redis")
