"""What a signal does to a call that stays, and what is said then."""

from __future__ import annotations

import errno
import os
import signal
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from curate.configs.errors import ServiceError
from curate.configs.shown import counted
from curate.db.reports.workers import StageAtWork
from curate.tasks.registry import stages
from curate.worker.stopping import SIGNALS
from curate.worker.supervisor import GRACE_SECONDS


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Inside the block SIGTERM, SIGHUP and SIGQUIT raise KeyboardInterrupt, as Ctrl-C does.

    A SIGHUP that was ignored at the start still is: that is what nohup asks for.
    """

    def interrupt(sign: int, _frame: object) -> None:
        if sign == signal.SIGHUP:
            signal.signal(sign, signal.SIG_IGN)  # a terminal that closes sends several
            _leave_terminal()
        raise KeyboardInterrupt

    nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [sign for sign in SIGNALS if not (nohup and sign == signal.SIGHUP)]
    before = {sign: signal.signal(sign, interrupt) for sign in heard}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _leave_terminal() -> None:
    """Write to nowhere in place of a terminal that has closed, where writing is an error."""
    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def stop_remark(at_work: Callable[[], Sequence[StageAtWork]]) -> str:
    """What a command says that was told to stop: what it waits for, and what stopping now costs.

    `at_work` looks what the workers are at after they were told.
    """
    try:
        waited = [
            f"{work.stage} ({counted(work.rows, work.level)})"
            for work in at_work()
            if not stages()[work.stage].stops_at_once
        ]
    except ServiceError:  # the database is away
        waited = ["batches at work"]
    ends = "Stopping: what takes long, as decoding, ends now and is done again"
    if not waited:
        return f"{ends}; no other batch is at work"
    limit = f"{GRACE_SECONDS:g} s at most"
    cost = "Ctrl-C again stops at once: then these too are done again. Nothing is lost"
    return f"{ends}; waiting for {', '.join(waited)}, {limit}. {cost}"
