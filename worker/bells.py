"""Doorbells: Celery messages that say "this stage has rows to claim", and nothing else."""

from __future__ import annotations

from celery import Celery

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.settings import Settings
from curate.worker.config import PRIORITIES, celery_settings


def make_app(settings: Settings) -> Celery:
    """A Celery app on the broker of these settings, without tasks; enough to ring."""
    app = Celery("curate", set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


class Bells:
    """Rings stages through a Celery app."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, step: StageStep, pipeline: Pipeline) -> None:
        """Ring the doorbell of a stage. The deepest stage is served first, so that clips finish early."""
        depth = [s.name for s in pipeline.stages].index(step.name)
        priority = max(0, PRIORITIES - 1 - depth)
        self._app.send_task(f"stage.{step.name}", queue=step.options.queue, priority=priority)

    def unheard(self, queue: str) -> int:
        """How many doorbells wait in a queue."""
        is_redis = str(self._app.conf.broker_url).startswith("redis")
        with self._app.connection_or_acquire() as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(queue, passive=not is_redis).message_count)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
