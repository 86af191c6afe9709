"""Doorbells: Celery messages that say "this stage of this dataset has rows to claim", and nothing
else.

Who rings decides what is done next: the dataset whose turn it is, and of it the deepest stage, so
that clips finish early. So queues are short and first in, first out, on every broker.
"""

from __future__ import annotations

from celery import Celery

from curate.configs.pipeline import StageStep
from curate.configs.settings import Settings
from curate.worker.celery_settings import celery_settings


def make_app(settings: Settings) -> Celery:
    """A Celery app on the broker of these settings, without tasks; enough to ring."""
    app = Celery("curate", set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


class Messages:
    """Rings stages through a Celery app."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, step: StageStep, dataset_id: int, partial: bool = False) -> None:
        """Ring the doorbell of a stage of a dataset. `partial`: rows are not to wait for a full
        batch any longer.
        """
        said = {"dataset": dataset_id} | ({"partial": True} if partial else {})
        self._app.send_task(f"stage.{step.name}", kwargs=said, queue=step.options.queue)

    def count_waiting(self, queue: str) -> int:
        """How many doorbells wait in a queue."""
        declared = self._app.amqp.queues[queue]
        with self._app.connection_or_acquire() as connection:
            found = connection.default_channel.queue_declare(
                queue,
                durable=declared.durable,
                auto_delete=declared.auto_delete,
                arguments=declared.queue_arguments,
            )
        return int(found.message_count)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
