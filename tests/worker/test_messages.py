"""A message on a real broker, as Flower hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from curate.configs.pipeline import StageStep
from curate.configs.settings import Settings
from curate.tasks.registry import stages
from curate.worker.messages import Messages, make_app


@pytest.fixture
def app(redis_url: str, home: Path) -> Iterator[Celery]:
    made = make_app(Settings(home=home, broker_url=redis_url))
    with closing(made):
        yield made
        with made.connection_or_acquire() as connection:
            for queue in made.conf.task_queues:
                queue(connection.default_channel).purge()


@pytest.mark.parametrize(
    ("stage", "queue"), [("pllava", "ascend"), ("qwen2_vl", "ascend"), ("openai", "cpu")]
)
def test_flower_hears_which_queue_a_message_was_sent_to(
    app: Celery, stage: str, queue: str
) -> None:
    heard: list[dict[str, Any]] = []
    step = StageStep(stage, stages()[stage], stages()[stage].Options())
    with app.connection_for_read() as made, closing(Messages(app)) as messages:
        receiver = app.events.Receiver(made, handlers={"task-sent": heard.append})
        with receiver.consumer_context(wakeup=False) as (connection, _, _):
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.1)  # it listens from now on
            messages.send(step, 7)
            connection.drain_events(timeout=10)
        assert messages.count_waiting(queue) == 1
    assert [(event["name"], event["routing_key"]) for event in heard] == [(f"stage.{stage}", queue)]
