"""How workers log: each line with time, level, host and worker, and a line about a batch with what
it is about.

As text, `2026-11-27T06:31:10.123Z INFO cpu0@node1 [dataset=pets stage=motion batch=1f… rows=64] 64
clips: …`; with CURATE_LOG_FORMAT=json the same as one JSON object a line. No password of a URL gets
into either.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TextIO

from curate.configs.settings import without_passwords

if TYPE_CHECKING:
    from celery import Celery

Format = Literal["text", "json"]

_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039  never changed in place
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TASK = "stage."  # how the names of tasks begin


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Lines logged inside of the block carry these fields too."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


class Formatter(logging.Formatter):
    """Formats a record as a line of text or as JSON; `worker` is the Celery worker, name@host, or
    empty.
    """

    def __init__(self, form: Format, worker: str = "") -> None:
        super().__init__()
        self._form = form
        self._worker = worker
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """The line; with an exception, text has its traceback on lines that follow."""
        message = without_passwords(record.getMessage())
        traceback = (
            without_passwords(self.formatException(record.exc_info)) if record.exc_info else ""
        )
        fields = {**_of_celery(record), **_about.get()}
        if self._form == "json":
            return self._as_json(record, message, fields, traceback)
        shown = f" [{' '.join(f'{k}={v}' for k, v in fields.items())}]" if fields else ""
        message = _CONTROL.sub(
            lambda found: found[0].encode("unicode_escape").decode(), message
        )  # one line a record
        line = f"{_utc(record)} {record.levelname} {self._worker or self._host}{shown} {message}"
        return f"{line}\n{traceback}" if traceback else line

    def _as_json(
        self, record: logging.LogRecord, message: str, fields: dict[str, object], traceback: str
    ) -> str:
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname,
            "message": message,
        }
        line |= fields | ({"worker": self._worker} if self._worker else {})
        line |= {"host": self._host, "pid": record.process, "logger": record.name}
        if traceback:
            line["traceback"] = traceback
        return json.dumps(line, ensure_ascii=False, default=str)


def _utc(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _of_celery(record: logging.LogRecord) -> dict[str, object]:
    """Stage and task of a line that Celery logs about a task."""
    data: Any = getattr(record, "data", None)
    name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name.startswith(_TASK):
        return {}
    return {"stage": name.removeprefix(_TASK), "task": data.get("id")}


def configure(
    form: Format, level: int | str, worker: str = "", stream: TextIO | None = None
) -> None:
    """Make the root logger write lines of this form to the stream (None: stderr), and nothing else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(form, worker))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a dozen lines about its plugins
    logging.captureWarnings(True)


def configure_celery(app: Celery, form: Format) -> None:
    """The same for the Celery worker that this process is about to become, in place of Celery's own
    set-up.
    """
    from celery import signals
    from celery.apps import worker

    named: list[str] = []

    def remember(sender: str, **_: object) -> None:
        named[:] = [sender]

    def set_up(loglevel: int | None, **_: object) -> None:
        configure(form, loglevel or logging.WARNING, named[0] if named else "")
        app.log.redirect_stdouts(
            "WARNING"
        )  # what libraries print; what C code writes stays as it is

    configure(form, logging.WARNING)  # what is said before Celery sets up its log
    if form == "json":
        worker.safe_say = _say_as_json
    signals.celeryd_init.connect(remember, weak=False)
    signals.setup_logging.connect(set_up, weak=False)


def _say_as_json(message: str, _stream: object = None) -> None:
    """What Celery says inside of a signal handler, where a logger might wait for itself: written at
    once.
    """
    record = logging.LogRecord(
        "celery.apps.worker", logging.INFO, __file__, 0, message.strip(), None, None
    )
    os.write(
        sys.__stderr__.fileno() if sys.__stderr__ else 2,
        f"{Formatter('json').format(record)}\n".encode(),
    )
