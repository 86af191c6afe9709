"""Workers of this host: what is refused first, and how a signal ends them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.local_run import clips_folder, refuse_shared_sqlite, stopped_by_signals
from curate.cli.shared.session import Session
from curate.configs.errors import ConfigError
from curate.configs.settings import Settings
from tests.cli.conftest import Call, Filled, finish_clips


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


def opened(curate: Call, filled: Filled) -> OpenDataset:
    return open_dataset(Session(), "pets")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_130_and_how_to_go_on(
    curate: Call, filled: Filled, signum: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    there = opened(curate, filled)
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background job of a shell ignores it
    with pytest.raises(typer.Exit) as ended, stopped_by_signals(Session(), there):
        os.kill(os.getpid(), signum)
        signal.pause()
    signal.signal(signal.SIGINT, ignored)
    assert ended.value.exit_code == 130
    assert "curate resume pets" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_says_where_its_clips_are(
    curate: Call, filled: Filled, home: Path, tmp_path: Path
) -> None:
    finish_clips(filled, "UPDATE videos SET stage = 'done', status = 'kept'")
    (home / "clips" / "pets").mkdir(parents=True)
    done = curate("resume", "pets", "-o", str(tmp_path / "clips.csv"))
    assert f"the files of the clips are in {home}/clips/pets\n" in done.err


def test_no_place_is_told_where_no_clip_was_written(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = open_dataset(Session(), "pets")
    assert clips_folder(Session(), there) is None
    monkeypatch.setenv("CURATE_MEDIA", "s3://bucket/clips")
    assert clips_folder(Session(), there) == "s3://bucket/clips/pets"
