"""Celery messages that say "this stage of this dataset has rows to claim", and nothing else.

The sender of a message decides what is done next: the dataset with the least share, and its deepest
stage, so that clips finish early. Therefore queues stay short, and any broker's order will do.
"""

from __future__ import annotations

from celery import Celery

from curate.configs.pipeline import StageStep
from curate.configs.settings import Settings
from curate.worker.celery_settings import celery_settings, use_tolerant_transports


def make_app(settings: Settings) -> Celery:
    """A Celery app on the broker of the settings, without tasks: enough to send messages."""
    use_tolerant_transports()
    app = Celery("curate", set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


class Messages:
    """Sends messages about stages through a Celery app, and counts those that wait."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, step: StageStep, dataset_id: int, partial: bool = False) -> None:
        """Tell a worker that a stage of a dataset has rows to claim.

        `partial`: the rows no longer wait for a full batch.
        """
        arguments = {"dataset": dataset_id} | ({"partial": True} if partial else {})
        self._app.send_task(f"stage.{step.name}", kwargs=arguments, queue=step.options.queue)

    def count_waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""
        declared = self._app.amqp.queues[queue]
        with self._app.connection_or_acquire() as connection:
            answer = connection.default_channel.queue_declare(
                queue,
                durable=declared.durable,
                auto_delete=declared.auto_delete,
                arguments=declared.queue_arguments,
            )
        return int(answer.message_count)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
