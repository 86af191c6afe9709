"""A Celery worker as `curate worker` starts it: it ends when its supervisor says so or is gone."""

from __future__ import annotations

import gc
import json
import signal
import sys
import tempfile
from multiprocessing import process
from typing import Any

from curate.worker.stopping import end_with_parent


def main() -> None:
    """Run a Celery worker with the options of Celery's class `Worker`, as JSON.

    Not by Celery's command line, which loads all its commands, Flower and a prompt.
    """
    end_with_parent()  # before the imports, which take seconds
    gc.disable()  # what modules make stays: to look for garbage in it takes a tenth of the time
    from celery import signals

    import curate
    from curate.worker.app import app, settings
    from curate.worker.logs import configure_celery

    # what the pool shares has no name in a folder; one of its own would stay after a SIGKILL
    here: Any = process.current_process()
    here._config["tempdir"] = tempfile.gettempdir()
    curate.code_version()  # of what is loaded: a process forked later may find other files
    configure_celery(app, settings.log_format)
    signals.worker_ready.connect(_leave_to_supervisor)
    signals.worker_process_init.connect(_leave_to_supervisor)
    worker = app.Worker(**json.loads(sys.argv[1]), quiet=True)  # without Celery's banner
    gc.freeze()
    gc.enable()
    worker.start()
    gc.freeze()  # or Python looks through all objects that are left, for up to half a second
    sys.exit(worker.exitcode)


def _leave_to_supervisor(**_: Any) -> None:
    """Ignore what the supervisor answers: Celery would start again at SIGHUP, and end at SIGQUIT
    without a word of its rows.
    """
    for sign in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sign, signal.SIG_IGN)


if __name__ == "__main__":
    main()
