"""Every event of a task names it."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.message import Message

from curate.worker.request import Request


class Heard:
    """A dispatcher of events that keeps them."""

    enabled = True

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))


def test_an_event_has_the_name_arguments_and_queue_of_its_task() -> None:
    app, heard = Celery("x", set_as_current=False), Heard()
    task = app.task(test_an_event_has_the_name_arguments_and_queue_of_its_task, name="stage.probe")
    headers = {"id": "7", "task": "stage.probe", "kwargsrepr": "{'dataset': 1}"}
    options = {"content_type": "application/json", "content_encoding": "utf-8"}
    message = Message(
        b"[[], {}, {}]", headers=headers, delivery_info={"routing_key": "cpu"}, **options
    )
    Request(message, app=app, task=task, eventer=heard).send_event("task-succeeded", runtime=1.5)
    about = {"name": "stage.probe", "kwargs": "{'dataset': 1}", "routing_key": "cpu"}
    assert heard.events == [("task-succeeded", {"uuid": "7", **about, "runtime": 1.5})]
