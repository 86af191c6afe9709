"""Celery's consumer of messages, which takes those that `Messages` sends and throws away others.

Celery ends on some messages, and others would cost a process its work: one with a time limit kills
it, one for the year 2999 stays with it.

Events of tasks cost as much as the rest of a message, so they are sent while somebody listens:
Flower asks for them (`enable_events`) every five seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Any

from celery.worker import control
from celery.worker.consumer import Consumer as CeleryConsumer

from curate.worker.odd_messages import throw_away

log = logging.getLogger(__name__)

# headers of Celery that `Messages` never sets
_UNUSED = ("eta", "expires", "group", "shadow", "stamped_headers", "stamps")
# how long events are sent after a worker starts, and after somebody has asked for them
LISTENED_SECONDS = 15.0

_celery_enable_events = control.enable_events


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """The consumer of a worker; the setting `worker_consumer` names it."""

    _silence: Any = None  # the timer's entry that stops the events of tasks

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """The function that takes a message."""
        take = super().create_task_handler(*arguments, **options)

        def take_or_throw_away(message: Any) -> None:
            try:
                if not (why := fault(message, self.app.tasks)):
                    take(message)
                    return
            except Exception as error:  # a message may hold anything
                # kombu counts KeyError among them, for a case that cannot happen here
                if isinstance(error, self.connection_errors) and not isinstance(error, KeyError):
                    raise
                why = f"{type(error).__name__}: {error}"
            throw_away(why, message.headers)
            if not message.acknowledged:
                message.reject_log_error(log, self.connection_errors)

        return take_or_throw_away

    def on_ready(self) -> None:
        """Send events, for whoever listens already, until nobody has asked for them for a while."""
        super().on_ready()
        self.send_events_for_a_while()

    def send_events_for_a_while(self) -> None:
        """Stop the events of tasks in LISTENED_SECONDS, unless this is called again before."""
        if self._silence:
            self._silence.cancel()
        self._silence = self.timer.call_after(LISTENED_SECONDS, self._stop_events)

    def _stop_events(self) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.groups.add("worker")  # none would be all
            self.event_dispatcher.groups.discard("task")


@control.control_command(name="enable_events")  # type: ignore[untyped-decorator]
def enable_events(state: Any) -> Any:
    """Tell worker(s) to send task-related events for a while."""
    state.consumer.send_events_for_a_while()
    return _celery_enable_events(state)


def fault(message: Any, tasks: Container[str]) -> str:
    """Why a message is none of ours; empty if it is one. May raise whatever its parts raise.

    Only JSON is decoded; `tasks` are the names of those that there are.
    """
    headers = message.headers
    name = headers.get("task")
    if not isinstance(name, str) or not name.startswith("stage.") or name not in tasks:
        return f"it names no stage of this version: {name!r:.100}"
    if not isinstance(headers.get("id"), str):
        return "its task has no id"
    if any(map(headers.get, _UNUSED)) or any(headers.get("timelimit") or ()):
        return "it has options that no message of curate has"
    arguments, keywords, embedded = message.payload
    dataset, partial = keywords.get("dataset"), keywords.get("partial", False)
    known = not arguments and keywords.keys() <= {"dataset", "partial"}
    if not known or not isinstance(dataset, int | None) or not isinstance(partial, bool):
        return "its arguments are not those of a stage"
    return "it has callbacks" if any(embedded.values()) else ""
