"""A stage that is held up by a full disk is told, and ends no run."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import insert

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.follow import Watcher, follow
from curate.cli.shared.output import Console
from curate.cli.shared.pipelines import pipeline_of
from curate.configs.errors import ServiceError
from curate.db.schema import batches
from tests.cli.conftest import Call, Filled

FULL = "Stage cut found no space left"


def put(filled: Filled, reason: str | None, count: int = 6, age: float = 0) -> None:
    """Batches of `cut`, given back for a reason or (None) saved."""
    error = None if reason is None else FULL
    batch = {
        "dataset_id": filled.dataset.id, "stage": "cut", "worker": "7@host", "n_ok": 0, "n_failed": 0, "version": "0",
        "started_at": time.time() - age, "seconds": 0.1, "error": error, "reason": reason,
    }  # fmt: skip
    with filled.engine.begin() as connection:
        connection.execute(insert(batches), [batch] * count)


def test_status_says_what_is_held_up_and_why(curate: Call, filled: Filled) -> None:
    put(filled, "DiskFull")
    assert f"cut is held up: {FULL}" in curate("status").out
    (found,) = curate("status", "--json").json["held_up"]
    assert (found["stage"], found["reason"], found["message"]) == ("cut", "DiskFull", FULL)


@pytest.mark.parametrize("age", [0, 3600])
def test_a_stage_that_went_on_or_was_held_up_long_ago_is_not(
    curate: Call, filled: Filled, age: float
) -> None:
    put(filled, "DiskFull", age=age)
    if not age:
        put(filled, None, count=1)
    assert curate("status", "--json").json["held_up"] == []


@pytest.mark.parametrize(("reason", "ends"), [("DiskFull", False), ("ModelsMissing", True)])
def test_a_run_waits_for_room_but_not_for_weights(filled: Filled, reason: str, ends: bool) -> None:
    watcher = Watcher(OpenDataset(filled.engine, filled.dataset, pipeline_of(filled.dataset)))
    watcher._since -= 1
    put(filled, reason)
    if ends:
        with pytest.raises(ServiceError, match="no space left"):
            watcher.look()
    else:
        assert [h.message for h in watcher.look().blocked] == [FULL]


def test_a_run_warns_once(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    put(filled, "DiskFull")
    looks = []

    def tick() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(
            OpenDataset(filled.engine, filled.dataset, pipeline_of(filled.dataset)),
            tick,
            Console(),
            "",
        )
    assert capsys.readouterr().err.count(FULL) == 1
