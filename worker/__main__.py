"""A Celery worker as `curate worker` starts it: it ends when its supervisor is gone."""

from __future__ import annotations

import ctypes
import signal
import sys


def main() -> None:
    """Run a Celery worker with the arguments of `celery worker`."""
    # before the imports, which take seconds: Linux sends SIGTERM when the parent dies, however
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    import curate
    from curate.worker.app import app, settings
    from curate.worker.logs import configure_celery

    curate.code_version()  # of what is loaded: a process forked later may find other files
    configure_celery(app, settings.log_format)
    app.worker_main(["--quiet", "worker", *sys.argv[1:]])  # without Celery's banner


if __name__ == "__main__":
    main()
