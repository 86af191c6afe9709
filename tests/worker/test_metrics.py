"""Metrics as Prometheus reads them: the numbers of a real line, and the login in front of them."""

from __future__ import annotations

import base64
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, text

from curate.configs.settings import Settings
from curate.db.datasets import cancel, pause, resume
from curate.db.engine import writing
from curate.db.worker_rows import RunningWorker, record_workers
from curate.worker.messages import Messages, make_app
from curate.worker.metrics import CurateCollector, as_text, registry, server
from tests.pipelines import Line, make_line
from tests.worker.conftest import run_all

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


@contextmanager
def messages(line: Line, broker: str) -> Iterator[Messages]:
    with closing(
        Messages(make_app(line.settings.model_copy(update={"broker_url": broker})))
    ) as made:
        yield made


def values(said: str) -> Values:
    """Every sample by name and labels, as the official parser reads the text."""
    families = list(text_string_to_metric_families(said))
    assert all(family.documentation for family in families)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def value(found: Values, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


@pytest.mark.usefixtures("catalog")
def test_what_a_line_did_is_what_the_metrics_say(line: Line, redis_url: str) -> None:
    line.enqueue("a3.mp4", "broken.mp4")
    run_all(line, "probe", "split", "score")
    record_workers(line.engine, [(None, RunningWorker("cpu0", "h", 1, "cpu", 4, None, "9.9"))])
    with messages(line, redis_url) as made:
        found = values(as_text(registry(line.engine, made)))
    same = {"dataset": "set"}
    assert value(found, "curate_clips", **same, stage="done", status="kept") == 2
    assert value(found, "curate_clips", **same, stage="done", status="dropped") == 1
    assert value(found, "curate_videos", **same, stage="probe", status="failed") == 1
    assert (
        value(
            found,
            "curate_failed_rows",
            **same,
            level="video",
            stage="probe",
            reason="UnexpectedError",
        )
        == 1
    )
    assert value(found, "curate_rows_finished_total", **same, stage="probe", outcome="failed") == 1
    assert value(found, "curate_rows_finished_total", **same, stage="score", outcome="ok") == 3
    assert value(found, "curate_batches_total", **same, stage="score") == 1
    assert value(found, "curate_batch_seconds_count", stage="score") == 1
    assert value(found, "curate_batch_seconds_bucket", stage="score", le="1800") == 1
    assert value(found, "curate_claim_seconds_count", stage="score") == 1
    assert 0 < value(found, "curate_claim_seconds_sum", stage="score") < 60
    assert value(found, "curate_workers", queue="cpu", version="9.9") == 1
    assert value(found, "curate_worker_processes", queue="cpu", version="9.9") == 4
    assert value(found, "curate_database_size_bytes") > 10_000
    assert (value(found, "curate_database_up"), value(found, "curate_broker_up")) == (1, 1)
    assert value(found, "curate_doorbells", queue="cpu") == 0


def test_rows_at_work_and_leases_that_ran_out(line: Line, redis_url: str) -> None:
    line.put_clips(3, "score")
    with messages(line, redis_url) as made:
        assert line.claim("score")
        at = {"dataset": "set", "level": "clip", "stage": "score"}
        assert value(values(as_text(registry(line.engine, made))), "curate_rows_at_work", **at) == 3
        with writing(line.engine) as connection:
            connection.execute(text("UPDATE clips SET lease_until = 1"))
        found = values(as_text(registry(line.engine, made)))
    assert value(found, "curate_leases_expired", **at) == 3
    assert value(found, "curate_rows_at_work", **at) == 0


@pytest.mark.parametrize(("do", "running"), [(pause, 0), (cancel, 0), (resume, 1)])
def test_a_dataset_that_nobody_works_on_is_told(
    line: Line, redis_url: str, do: Any, running: int
) -> None:
    do(line.engine, line.dataset)
    with messages(line, redis_url) as made:
        assert (
            value(
                values(as_text(registry(line.engine, made))),
                "curate_dataset_running",
                dataset="set",
            )
            == running
        )


def test_many_scrapes_ask_the_database_once(line: Line, redis_url: str) -> None:
    statements: list[str] = []
    event.listen(
        line.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: statements.append(sql)
    )
    with messages(line, redis_url) as made:
        collector = CurateCollector(line.engine, made, keep=600)
        first = collector.collect()
        asked = len(statements)
        assert 0 < asked < 40
        assert collector.collect() is first
    assert len(statements) == asked


def test_a_database_or_broker_that_is_gone_is_a_number_too(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from curate.db.engine import make_engine

    settings = Settings(home=home, broker_url="redis://:secret@127.0.0.1:1/0")
    gone = make_engine("postgresql://me:secret@127.0.0.1:1/x")
    with closing(Messages(make_app(settings))) as made:
        found = values(as_text(registry(gone, made)))
    assert found == {("curate_database_up", ()): 0, ("curate_broker_up", ()): 0}
    assert "secret" not in caplog.text


def status(url: str, login: str = "", path: str = "/metrics") -> int:
    request = urllib.request.Request(url + path)
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("login", "given", "expected"),
    [
        ("", "", 200),
        ("me:hush", "", 401),
        ("me:hush", "me:other", 401),
        ("me:hush", "me:hush", 200),
    ],
)
def test_the_login(
    sqlite_url: str, home: Path, redis_url: str, login: str, given: str, expected: int
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    with (
        messages(line, redis_url) as made,
        server(registry(line.engine, made), "127.0.0.1", 0, login) as serving,
    ):
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            assert status(f"http://127.0.0.1:{serving.server_port}", given) == expected
        finally:
            serving.shutdown()
            thread.join()
