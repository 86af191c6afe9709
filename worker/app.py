"""The Celery app of workers: one task a stage, named `stage.<name>`, that runs one batch and rings the next bells.

Start a worker by hand with ``celery -A curate.worker.app worker -Q cpu --max-tasks-per-child 500``; `curate worker`
does it for you. Importing this module reads the settings from the environment.
"""

from __future__ import annotations

from celery import Task

from curate.configs.settings import load_settings
from curate.db.claims import waiting
from curate.tasks.registry import stages
from curate.worker.bells import Bells, make_app
from curate.worker.runner import Report, Runner

settings = load_settings()
app = make_app(settings)
bells = Bells(app)

MANY = 64  # doorbells in a queue; more would only say the same again

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


def ring_after(report: Report) -> None:
    """Ring whatever has rows to claim among the stage itself and the one behind it."""
    names = [s.name for s in report.pipeline.stages]
    here = names.index(report.step.name)
    dataset = report.dataset_id
    for step in waiting(runner().engine, dataset, report.pipeline):
        if step.name in names[here : here + 2] and bells.unheard(step.options.queue) < MANY:
            bells.ring(step, report.pipeline)
