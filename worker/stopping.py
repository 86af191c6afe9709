"""What a signal to stop does, in a supervisor and in the processes of its workers.

A Celery worker that is told to stop waits for its batches. A batch that is cheaper to do again than
to wait for (`Stage.stops_at_once`) is given up: the worker sends SIGUSR2 to its processes, and
`Stopped` is raised where the process is at work.

Code that is at work may lose it: C code that imports a module turns it into an ImportError, and
what a destructor raises is ignored. So it is raised again, and at the end whatever came of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator

# what asks a command to stop, besides Ctrl-C
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GIVE_UP = signal.SIGUSR2
AGAIN_SECONDS = 1.0


class Stopped(BaseException):
    """The process was told to stop, and its batch is given up. No handler of a stage catches it."""


_told = False
_may_raise = False


def end_with_parent() -> None:
    """Let Linux send SIGTERM to this process when its parent ends, however it ends."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def told_to_stop() -> bool:
    """Whether this process was told to stop: it must not claim rows any more."""
    return _told


def listen() -> None:
    """Give up batches at SIGUSR2, in this process and in those forked from it."""
    signal.signal(_GIVE_UP, _on_signal)
    signal.signal(signal.SIGALRM, _on_signal)


def _on_signal(sign: int, _frame: object) -> None:
    global _told
    _told = _told or sign == _GIVE_UP
    if _told and _may_raise:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        raise Stopped


def tell(pids: Iterable[int]) -> None:
    """Tell processes that `listen` to stop."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _GIVE_UP)


@contextlib.contextmanager
def given_up_when_told(at_once: bool = True) -> Iterator[None]:
    """Raise Stopped inside the block when the process is told to stop, or was; if `at_once`.

    Then the block never ends otherwise, neither as if nothing had happened nor with an error.
    """
    global _may_raise
    _may_raise = at_once
    try:
        if not (at_once and _told):
            yield
    finally:
        _may_raise = False
        if at_once and _told:
            raise Stopped from None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals to stop inside the block, which ends what must not be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.signal(sign, signal.SIG_IGN) for sign in (signal.SIGINT, *SIGNALS)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler or signal.SIG_DFL)
