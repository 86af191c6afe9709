"""Workers of this host: what is refused first, and how a signal ends them."""

from __future__ import annotations

import os
import signal

import pytest

from curate.configs.errors import ConfigError
from curate.configs.settings import Settings
from curate.worker.session.database import open_dataset
from curate.worker.session.home import HomeSession
from curate.worker.session.running import RunStopped, refuse_shared_sqlite, stopped_by_signals
from tests.cli.conftest import Filled


@pytest.mark.parametrize(
    ("broker", "database", "refused"),
    [
        ("", "", False),
        ("redis://localhost/0", "", False),
        ("redis+socket:///x/y.sock", "", False),
        ("redis://10.0.0.7/0", "", True),
        ("amqp://me:secret@rabbit//", "sqlite:////shared/curate.db", True),
        ("redis://10.0.0.7/0", "postgresql://db/x", False),
    ],
)
def test_sqlite_is_not_shared_between_hosts(broker: str, database: str, refused: bool) -> None:
    settings = Settings(broker_url=broker, database_url=database)
    if not refused:
        refuse_shared_sqlite(settings)
        return
    with pytest.raises(ConfigError, match="postgresql://") as error:
        refuse_shared_sqlite(settings)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_and_says_how_to_go_on(
    filled: Filled, signum: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    session = HomeSession()
    there = open_dataset(session, "pets")
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background job of a shell ignores it
    with pytest.raises(RunStopped), stopped_by_signals(session, there):
        os.kill(os.getpid(), signum)
        signal.pause()
    signal.signal(signal.SIGINT, ignored)
    assert "Stopped. Nothing is lost; go on with: curate resume pets" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
