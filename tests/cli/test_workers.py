"""workers: those of all hosts are listed."""

from __future__ import annotations

from dataclasses import replace

from curate.db.worker_rows import RunningWorker, record_workers
from tests.cli.conftest import Call, Filled

THERE = RunningWorker("cpu0", "there", 9, "cpu", 8, None, "0.0.1")


def test_workers_of_all_hosts_are_listed(curate: Call, filled: Filled) -> None:
    record_workers(
        filled.engine,
        [
            (None, THERE),
            (None, replace(THERE, name="cpu0", host="host")),
            (None, replace(THERE, name="ascend3", host="host", npu=3)),
        ],
    )
    first, same_host, second = curate("workers", "--json").json
    assert (first["host"], first["npu"], first["state"], first["rows_at_work"]) == (
        "host",
        3,
        "running",
        1,
    )
    assert (same_host["host"], same_host["rows_at_work"]) == ("host", None), "counted once"
    assert (second["host"], second["version"], second["processes"], second["rows_at_work"]) == (
        "there",
        "0.0.1",
        8,
        0,
    )
    lines = curate("workers").out.splitlines()
    assert lines[0].split() == [
        "host",
        "name",
        "queue",
        "processes",
        "npu",
        "version",
        "state",
        "seen",
        "rows_at_work",
    ]
