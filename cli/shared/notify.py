"""Tells workers that rows wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from curate.cli.shared.session import Session
from curate.configs.errors import ServiceError
from curate.db.queue.ready import waiting
from curate.worker.broker import broker_url, check_broker, socket_path
from curate.worker.messages import Messages, make_app
from curate.worker.session.database import OpenDataset


def notify_workers(session: Session, opened: OpenDataset) -> bool:
    """Send a message for each stage that has rows to claim; False when no broker answers.

    Workers look for rows by themselves too, so nothing depends on the messages.
    """
    if not session.settings.broker_url and not socket_path(session.settings).exists():
        return False
    try:
        check_broker(broker_url(session.settings))
    except ServiceError:
        return False
    with closing(Messages(make_app(session.settings))) as messages:
        for step in waiting(opened.engine, opened.dataset.id, opened.pipeline):
            messages.send(step, opened.dataset.id)
    return True


def next_after_notifying(session: Session, opened: OpenDataset) -> Sequence[str]:
    """Notify the workers; the words of the command that follows, by whether any can have heard
    it.
    """
    if notify_workers(session, opened):
        return ("status", opened.name, "--watch")
    return ("resume", opened.name, "-o", "clips.csv")
