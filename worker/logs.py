"""How workers log: each line has time, level and worker, and the fields of the batch it is about.

As text, `2026-11-27T06:31:10.123Z INFO cpu0@node1 [dataset=pets stage=motion batch=1f… rows=64] 64
clips: 60 ok, 1 failed, 3 dropped, 0.8 s`; with CURATE_LOG_FORMAT=json, the same as one JSON object
per line. Passwords in URLs are hidden in both.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TextIO

from curate.configs.settings import without_passwords

if TYPE_CHECKING:
    from celery import Celery

Format = Literal["text", "json"]

_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039  never changed in place
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TASK = "stage."  # the prefix of task names
_LIBRARIES = (
    "alembic",
    "botocore",
    "celery",
    "httpx",
    "kombu",
)  # whose lines below WARNING are for DEBUG


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Add these fields to the lines that are logged inside the block."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


class Formatter(logging.Formatter):
    """Formats a record as text or JSON; `worker` is the Celery worker as name@host, or empty."""

    def __init__(self, form: Format, worker: str = "") -> None:
        super().__init__()
        self._form = form
        self._worker = worker
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; as text, the traceback of an exception follows on more lines."""
        message = without_passwords(record.getMessage())
        traceback = ""
        if record.exc_info:
            traceback = without_passwords(self.formatException(record.exc_info))
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        utc = f"{whole}.{int(record.msecs):03d}Z"
        fields = dict(_about.get())
        data: Any = getattr(record, "data", None)  # of a line that Celery logs about a task
        name = data.get("name") if isinstance(data, dict) else None
        if isinstance(name, str) and name.startswith(_TASK):
            task = {"stage": name.removeprefix(_TASK), "task": data.get("id")}
            fields = {**task, **fields}
        if self._form == "json":
            line: dict[str, object] = {"time": utc, "level": record.levelname, "message": message}
            line |= fields | ({"worker": self._worker} if self._worker else {})
            line |= {"host": self._host, "pid": record.process, "logger": record.name}
            line |= {"traceback": traceback} if traceback else {}
            return json.dumps(line, ensure_ascii=False, default=str)
        context = f" [{' '.join(f'{k}={v}' for k, v in fields.items())}]" if fields else ""
        # control characters escaped: one line per message
        message = _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode(), message)
        text = f"{utc} {record.levelname} {self._worker or self._host}{context} {message}"
        return f"{text}\n{traceback}" if traceback else text


def configure(
    form: Format, level: int | str, worker: str = "", stream: TextIO | None = None
) -> None:
    """Make the root logger write lines of this form, only to the stream (None: stderr)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(form, worker))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # with Celery's lines about messages each batch would have three, and Alembic has a dozen
    floor = logging.NOTSET if root.level <= logging.DEBUG else logging.WARNING
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(floor)
    logging.captureWarnings(True)


def configure_celery(app: Celery, form: Format) -> None:
    """Make the Celery worker that this process will become log in this form, not in Celery's."""
    from celery import signals
    from celery.apps import worker
    from celery.platforms import SecurityWarning

    names: list[str] = []

    def remember_name(sender: str, **_: object) -> None:
        names[:] = [sender]

    def set_up(loglevel: int | None, **_: object) -> None:
        configure(form, loglevel or logging.WARNING, names[0] if names else "")
        # this catches what Python libraries print, but not what C code writes
        app.log.redirect_stdouts("WARNING")

    configure(form, logging.WARNING)  # until Celery sets up its log
    worker.safe_say = partial(_say, form)
    # who is root is told on each start to be somebody else, since messages could be pickles
    warnings.simplefilter("ignore", SecurityWarning)
    signals.celeryd_init.connect(remember_name, weak=False)
    signals.setup_logging.connect(set_up, weak=False)


def _say(form: Format, message: str, _stream: object = None) -> None:
    """Write what Celery says in a signal handler, where a logger could deadlock."""
    record = logging.LogRecord(
        "celery.apps.worker", logging.INFO, __file__, 0, message.strip(), None, None
    )
    stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
    os.write(stderr, f"{Formatter(form).format(record)}\n".encode())
