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
        traceback = ""
        if record.exc_info:
            traceback = without_passwords(self.formatException(record.exc_info))
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        utc = f"{whole}.{int(record.msecs):03d}Z"
        fields = {**_of_task(record), **_about.get()}
        if self._form == "json":
            line: dict[str, object] = {"time": utc, "level": record.levelname, "message": message}
            line |= fields | ({"worker": self._worker} if self._worker else {})
            line |= {"host": self._host, "pid": record.process, "logger": record.name}
            line |= {"traceback": traceback} if traceback else {}
            return json.dumps(line, ensure_ascii=False, default=str)
        context = f" [{' '.join(f'{k}={v}' for k, v in fields.items())}]" if fields else ""
        # one line a record
        message = _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode(), message)
        text = f"{utc} {record.levelname} {self._worker or self._host}{context} {message}"
        return f"{text}\n{traceback}" if traceback else text


def _of_task(record: logging.LogRecord) -> dict[str, object]:
    """Stage and task of a line that Celery logs about a task; empty for other lines."""
    data: Any = getattr(record, "data", None)
    name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name.startswith(_TASK):
        return {}
    return {"stage": name.removeprefix(_TASK), "task": data.get("id")}


def configure(
    form: Format, level: int | str, worker: str = "", stream: TextIO | None = None
) -> None:
    """Make the root logger write lines of this form to the stream (None: stderr) alone."""
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

    names: list[str] = []

    def remember_name(sender: str, **_: object) -> None:
        names[:] = [sender]

    def set_up(loglevel: int | None, **_: object) -> None:
        configure(form, loglevel or logging.WARNING, names[0] if names else "")
        # what libraries print; what C code writes stays as it is
        app.log.redirect_stdouts("WARNING")

    configure(form, logging.WARNING)  # for what is logged before Celery sets up its log
    if form == "json":
        worker.safe_say = _say_as_json
    signals.celeryd_init.connect(remember_name, weak=False)
    signals.setup_logging.connect(set_up, weak=False)


def _say_as_json(message: str, _stream: object = None) -> None:
    """Write what Celery says inside of a signal handler, where a logger might wait for itself."""
    record = logging.LogRecord(
        "celery.apps.worker", logging.INFO, __file__, 0, message.strip(), None, None
    )
    stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
    os.write(stderr, f"{Formatter('json').format(record)}\n".encode())
