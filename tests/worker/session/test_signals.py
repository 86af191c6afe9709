"""What a signal does to a call that stays, and what is said then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from curate.configs.errors import ServiceError
from curate.db.reports.workers import StageAtWork
from curate.worker.session.signals import signals_interrupt, stop_remark


@pytest.fixture
def sighup_is_heard() -> Iterator[None]:
    """SIGHUP is not ignored, as it is where nohup runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("sighup_is_heard")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_to_stop_interrupts_and_is_as_before_afterwards(sign: signal.Signals) -> None:
    before = signal.getsignal(sign)
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        os.kill(os.getpid(), sign)
        signal.pause()
    assert signal.getsignal(sign) == before


def test_sighup_stays_ignored_as_nohup_wants_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("sighup_is_heard")
def test_of_several_sighups_one_counts() -> None:
    with signals_interrupt():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
            signal.pause()
        os.kill(os.getpid(), signal.SIGHUP)  # it is no second wish to stop


def test_the_remark_names_what_is_waited_for_and_what_a_second_signal_costs() -> None:
    work = [StageAtWork("split", "video", 1), StageAtWork("motion", "clip", 64)]
    said = stop_remark(lambda: work)
    assert "waiting for motion (64 clips), 30 s at most" in said
    assert "Ctrl-C again stops at once: then these too are done again. Nothing is lost" in said
    assert "what takes long, as decoding, ends now" in said and "split" not in said
    assert "no other batch is at work" in stop_remark(lambda: work[:1])


def test_the_remark_does_without_a_database() -> None:
    def away() -> list[StageAtWork]:
        raise ServiceError(what="The database", why="gone")

    assert "waiting for batches at work, 30 s at most" in stop_remark(away)
