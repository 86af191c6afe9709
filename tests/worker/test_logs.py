"""Lines of the log: what they are about, in both forms, on one line, and never a password."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.worker.lease_keeper import LeaseKeeper
from curate.worker.logs import Format, Formatter, about
from curate.worker.processes import WorkerSpec, worker_specs
from curate.worker.supervisor import Log, Supervisor
from tests.pipelines import Line, make_line, wait_until, writer
from tests.worker.conftest import run_all

FORMS: tuple[Format, ...] = ("text", "json")


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.INFO, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def test_a_line_says_what_it_is_about() -> None:
    with about(dataset="pets", stage="motion"), about(row=7):
        text = Formatter("text", "cpu0@h").format(record("%d clips", 3))
        line = json.loads(Formatter("json", "cpu0@h").format(record("%d clips", 3)))
    assert text.partition("INFO ")[2] == "cpu0@h [dataset=pets stage=motion row=7] 3 clips"
    expected = {
        "dataset": "pets",
        "stage": "motion",
        "row": 7,
        "message": "3 clips",
        "level": "INFO",
    }
    assert line.items() >= {**expected, "worker": "cpu0@h"}.items()
    assert line["time"].endswith("Z")
    assert "pets" not in Formatter("text").format(record("after"))


def test_lines_of_celery_name_stage_and_task() -> None:
    line = record("succeeded", data={"name": "stage.motion", "id": "77"})
    assert (
        json.loads(Formatter("json").format(line)).items()
        >= {"stage": "motion", "task": "77"}.items()
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_message_is_one_line_whatever_a_file_is_called(form: Format) -> None:
    said = Formatter(form).format(record("cannot read %s", "/v/a\n2026 ERROR forged\x1b[31m.mp4"))
    assert "\n" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@h:1/0",
        "postgresql+psycopg://me:hush@h/d",
        "amqp://me:a@hush@h//",
        "redis://:hu/hush@h/0",
        "postgresql://me@h/d?user=***@h&password=hush",
    ],
)
def test_no_password_of_a_url_is_logged(form: Format, url: str) -> None:
    try:
        raise OSError(f"cannot connect to {url}")
    except OSError:
        failed = record("trying %s", url)
        failed.exc_info = sys.exc_info()
    said = Formatter(form).format(failed)
    assert "hush" not in said
    assert "***@h" in said


@pytest.mark.usefixtures("catalog")
def test_a_batch_is_logged_with_dataset_stage_batch_and_the_row_that_failed(
    sqlite_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    line.enqueue("broken.mp4", "b1.mp4")
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(Formatter("json"))
    run_all(line, "probe")
    lines = [json.loads(text) for text in caplog.text.splitlines()]
    broken = line.rows("SELECT id FROM videos WHERE path LIKE '%broken%'")[0][0]
    failed = [x for x in lines if x.get("row") == broken]
    assert any("cannot read" in x["message"] for x in failed)
    done = next(x for x in lines if "2 videos: 1 ok, 1 failed" in x["message"])
    assert (done["dataset"], done["stage"], done["rows"]) == ("set", "probe", 2)
    assert {x["batch"] for x in failed} == {done["batch"]}


def test_the_thread_that_watches_a_batch_logs_as_the_batch_does(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        "curate.worker.lease_keeper.renew",
        lambda *_: seen.append(Formatter("text").format(record("x"))),
    )
    line.put_clips(1, "score")
    held = line.claim("score", lease_seconds=0.03)
    assert held
    with about(dataset="pets"), LeaseKeeper(line.engine, writer()).keep(held):
        wait_until(lambda: seen)
    assert "[dataset=pets] x" in seen[0]


@pytest.fixture
def line(sqlite_url: str, home: Path) -> Line:
    return make_line(sqlite_url, home, ["score"])


@pytest.mark.parametrize("form", FORMS)
def test_a_real_worker_tells_no_password_of_its_broker(
    form: Format, tmp_path: Path, home: Path
) -> None:
    """A broker that is not there: Celery tells where it wanted to connect, its banner too."""
    secret = {"CURATE_BROKER_URL": "redis://me:hush-hush@127.0.0.1:1/0", "CURATE_LOG_FORMAT": form}
    options = json.dumps(WorkerSpec("cpu", 1, "cpu0").options("DEBUG"))
    command = [sys.executable, "-m", "curate.worker", options]
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env={**os.environ, **secret}, stdout=out, stderr=out) as run,
    ):
        try:
            wait_until(lambda: run.poll() is not None or "Cannot connect" in log.read_text(), 60)
            run.terminate()
            wait_until(lambda: run.poll() is not None or "Warm shutdown" in log.read_text(), 60)
        finally:
            run.kill()
    said = log.read_text()
    assert "Cannot connect" in said
    assert "Warm shutdown" in said
    assert "hush" not in said
    if form == "json":
        assert {json.loads(x)["level"] for x in said.splitlines()} >= {"ERROR"}


def test_libraries_are_silent_below_warning_unless_all_is_asked_for() -> None:
    script = """
import logging, sys
from curate.worker.logs import configure
for level in ("INFO", "DEBUG"):
    configure("text", level, stream=sys.stdout)
    for name in ("curate.worker.batch", "celery.worker.strategy", "kombu.connection"):
        logging.getLogger(name).info("%s says at %s", name, level)
        logging.getLogger(name).warning("%s warns at %s", name, level)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    lines = [x.partition(" curate")[0] and " ".join(x.split()[3:]) for x in said.splitlines()]
    assert "curate.worker.batch says at INFO" in lines
    assert "celery.worker.strategy says at INFO" not in lines
    assert {"kombu.connection warns at INFO", "celery.worker.strategy says at DEBUG"} <= {*lines}


@pytest.mark.parametrize("form", FORMS)
def test_the_log_of_a_worker_has_no_banner_and_a_line_a_batch(
    form: Format, plugged: Path, sqlite_url: str, home: Path, tmp_path: Path
) -> None:
    line = make_line(sqlite_url, home, ["score"])
    line.put_clips(2, "score")
    settings = line.settings.model_copy(update={"log_format": form})
    log = tmp_path / "worker.log"
    specs = worker_specs(settings, ["cpu"], 1)
    with Supervisor(settings, line.engine, specs, Log(log, "INFO")) as supervisor:
        end = time.monotonic() + 90
        while line.rows("SELECT count(*) FROM clips WHERE status = 'active'") != [(0,)]:
            assert time.monotonic() < end, log.read_text()
            supervisor.tick()
            time.sleep(0.1)
    said = log.read_text().splitlines()
    assert [x for x in said if "2 clips: 2 ok, 0 failed, 0 dropped" in x and "score" in x]
    assert not [x for x in said if "[config]" in x or "---" in x or "received" in x]
    begins = "{" if form == "json" else "20"
    assert all(x.startswith(begins) for x in said), said
