"""What a signal to stop does to a process at work, and what it does not disturb."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from curate.worker import stopping
from curate.worker.stopping import Stopped, given_up_when_told, told_to_stop, undisturbed


@pytest.fixture
def listening() -> Iterator[None]:
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGUSR2, signal.SIGALRM)}
    stopping.listen()
    yield
    stopping._told = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    for sign, handler in before.items():
        signal.signal(sign, handler)


def test_work_that_stops_at_once_is_given_up(listening: None) -> None:
    with pytest.raises(Stopped), given_up_when_told():
        stopping.tell([os.getpid()])
        signal.pause()
    assert told_to_stop()


def test_work_that_swallows_it_is_told_again_and_given_up(
    listening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a destructor does, or a callback that C code calls."""
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.05)
    swallowed = []
    with pytest.raises(Stopped), given_up_when_told():
        for _ in range(2):
            try:
                if not swallowed:
                    stopping.tell([os.getpid()])
                signal.pause()
            except Stopped:
                swallowed.append(True)
    assert len(swallowed) == 2


def test_work_that_takes_it_for_an_error_is_given_up_and_fails_nothing(listening: None) -> None:
    """As C code does that imports a module: it raises ImportError in its place."""
    with pytest.raises(Stopped), given_up_when_told():
        try:
            stopping.tell([os.getpid()])
            signal.pause()
        except Stopped:
            raise ImportError("numpy._core.multiarray failed to import") from None


def test_other_work_is_finished(listening: None) -> None:
    done = []
    with given_up_when_told(False):
        stopping.tell([os.getpid()])
        done.append(told_to_stop())
    assert done == [True]


def test_no_work_is_begun_afterwards(listening: None) -> None:
    stopping.tell([os.getpid()])
    with pytest.raises(Stopped), given_up_when_told():
        raise AssertionError("it was begun")


def test_a_process_that_is_gone_need_not_be_told() -> None:
    stopping.tell([2**22 + 1])


@pytest.mark.parametrize("sign", [signal.SIGINT, *stopping.SIGNALS])
def test_cleaning_up_is_not_disturbed(sign: signal.Signals) -> None:
    heard: list[int] = []
    before = signal.signal(sign, lambda number, _: heard.append(number))
    try:
        with undisturbed():
            os.kill(os.getpid(), sign)
        assert heard == []
        os.kill(os.getpid(), sign)
        assert heard == [sign]
    finally:
        signal.signal(sign, before)
