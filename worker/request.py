"""A task as its worker tells of it."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request as CeleryRequest


class Request(CeleryRequest):  # type: ignore[misc]
    """A request whose every event names its task.

    Celery names it in the first one alone; Flower, started later, would show a task without name.
    """

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event of this task."""
        queue = self.delivery_info.get("routing_key")
        about = {"name": self.name, "kwargs": self.kwargsrepr, "routing_key": queue}
        super().send_event(type, **about, **fields)
