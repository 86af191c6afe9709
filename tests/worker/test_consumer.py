"""Which messages a worker takes: those that `Messages` sends; see test_odd_messages for others."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events import EventDispatcher
from celery.worker.control import Panel
from kombu import Connection
from kombu.asynchronous.timer import Timer
from kombu.exceptions import ContentDisallowed
from kombu.message import Message

from curate.worker import consumer as consumers
from curate.worker.consumer import Consumer, fault

TASKS = {"stage.score": 1, "celery.map": 1}
HEADERS: dict[str, Any] = {"task": "stage.score", "id": "7", "timelimit": [None, None], "eta": None}
BODY: list[Any] = [[], {"dataset": 1, "partial": True}, {"callbacks": None, "chord": None}]


def message(headers: dict[str, Any], body: Any, kind: str = "application/json") -> Message:
    content = json.dumps(body).encode()
    options = {"content_type": kind, "content_encoding": "utf-8", "accept": {"application/json"}}
    return Message(content, headers=HEADERS | headers, **options)


@pytest.mark.parametrize("keywords", [{"dataset": 1, "partial": True}, {"dataset": 1}, {}])
def test_a_message_of_curate_has_no_fault(keywords: dict[str, Any]) -> None:
    assert fault(message({}, [[], keywords, {}]), TASKS) == ""


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({"task": "celery.map"}, BODY, "no stage"),
        ({"task": "stage.nowhere"}, BODY, "no stage"),
        ({"id": None}, BODY, "no id"),
        ({"eta": "2999-01-01T00:00:00"}, BODY, "options"),
        ({"timelimit": [1, None]}, BODY, "options"),
        ({"stamps": {"a": 1}}, BODY, "options"),
        ({}, [[1], {}, {}], "arguments"),
        ({}, [[], {"dataset": "1"}, {}], "arguments"),
        ({}, [[], {"dataset": 1, "more": 1}, {}], "arguments"),
        ({}, [[], {}, {"callbacks": [{"task": "stage.score"}]}], "callbacks"),
    ],
)
def test_others_have_one(headers: dict[str, Any], body: Any, why: str) -> None:
    assert why in fault(message(headers, body), TASKS)


def test_a_pickle_is_not_read() -> None:
    with pytest.raises(ContentDisallowed):
        fault(message({}, BODY, "application/x-python-serialize"), TASKS)


@pytest.mark.parametrize("groups", [[], ["worker"]])
def test_events_of_tasks_are_sent_while_somebody_asks(
    groups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "LISTENED_SECONDS", 0)
    sent: list[str] = []
    with Connection("memory://") as connection:
        worker = Consumer.__new__(Consumer)
        worker.timer = Timer()
        worker.event_dispatcher = EventDispatcher(connection, hostname="w", groups=groups)
        worker.event_dispatcher.producer = SimpleNamespace(
            publish=lambda event, **_: sent.append(event["type"])
        )
        for asked in (True, True, False):
            if asked:
                Panel.data["enable_events"](SimpleNamespace(consumer=worker))
            for kind in ("task-received", "worker-heartbeat"):
                worker.event_dispatcher.send(kind)
            sent.append("")
            for _, entry in itertools.takewhile(lambda due: due[1], iter(worker.timer)):
                entry()  # the time is over
    heard = ["task-received", "worker-heartbeat", ""]
    assert sent == [*heard, *heard, "worker-heartbeat", ""]
