"""Messages go to the workers of the right home."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from curate.cli.shared.notify import notify_workers
from curate.cli.shared.session import Session
from curate.worker import broker
from curate.worker.broker import EmbeddedBroker
from curate.worker.messages import Messages, make_app
from curate.worker.session.database import OpenDataset
from tests.pipelines import make_line


@pytest.mark.skipif(broker.redis_executable() is None, reason="no redis-server")
def test_bells_go_to_the_home_that_was_asked_for(
    tmp_path: Path, sqlite_url: str, home: Path
) -> None:
    """Not to the one of the environment, nor is the environment changed."""
    before = dict(os.environ)
    here = Session(home=tmp_path / "other")
    line = make_line(sqlite_url, here.settings.home, ["score"])
    line.put_clips(1, "score")
    with EmbeddedBroker(here.settings), closing(Messages(make_app(here.settings))) as messages:
        assert notify_workers(here, OpenDataset(line.engine, line.dataset, line.pipeline))
        assert messages.count_waiting("cpu") == 1
    assert dict(os.environ) == before
    assert not home.exists()
