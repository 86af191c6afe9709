"""The stage `openai` from claim to save, against a server that misbehaves: each clip is captioned,
or failed.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from curate.configs.errors import BudgetSpent, CaptionServer, ConfigError
from curate.configs.settings import first_problem
from curate.db.datasets import cancel, resume
from curate.tasks.inputs.files import fingerprint_now
from curate.tasks.openai import Openai, OpenaiCaptioner, OpenaiOptions
from curate.tasks.video.span import SpanShape
from tests.caption_server import KEY, STEP, caption_server
from tests.caption_server import CaptionServer as Misbehaving
from tests.media import draw, write_image
from tests.pipelines import CATALOG, Line, make_line, wait_until
from tests.worker.conftest import run_all

RESULTS = "SELECT text, status, reason FROM clips ORDER BY id"
SCRIPT = """
import logging, socket, sys
logging.basicConfig(level=logging.INFO)
socket.gethostname = lambda: sys.argv[1]
from curate.configs.settings import load_settings
from curate.worker.runner import Runner
runner = Runner(load_settings())
while runner.run_one("openai"):
    pass
"""


@pytest.fixture
def server(catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("MY_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(CATALOG, "openai", Openai)
    with caption_server() as started:
        yield started


def captioning(server: Misbehaving, url: str, home: Path, clips: int, **options: Any) -> Line:
    """As many clips that wait for the stage: pictures, of gray levels that tell the server which
    one it is.
    """
    usual = {
        "url": server.url,
        "model": "m",
        "key_variable": "MY_KEY",
        "wait": 0.001,
        "tries": 3,
        "frames": 1,
    }
    home.mkdir()
    line = make_line(url, home, [{"stage": "openai", **usual, **options}])
    for n in range(clips):
        picture = write_image(home / f"{n}.png", np.full((32, 48, 3), STEP * n, np.uint8))
        line.put_clips(1, "openai", f"/v/{n}.png")
        with line.engine.begin() as connection:
            connection.execute(
                text("UPDATE videos SET path = :p, fingerprint = :f WHERE relpath = :r"),
                {"p": str(picture), "f": fingerprint_now(str(picture)), "r": f"{n}.png"},
            )
    return line


def everywhere(line: Line) -> str:
    """All that the database holds, as text."""
    tables = ("datasets", "videos", "clips", "captions", "batches")
    return repr([line.rows(f"SELECT * FROM {table}") for table in tables])


def test_every_clip_is_captioned_and_each_caption_is_told_apart(
    server: Misbehaving, database_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    line = captioning(
        server, database_url, home, 3, prompt="what is there?", price={"input": 2, "output": 10}
    )
    run_all(line, "openai")
    assert line.rows(RESULTS) == [(f"Clip {n} runs.", "kept", None) for n in range(3)]
    found = line.rows(
        "SELECT model, revision, prompt, text_raw, text, tokens FROM captions ORDER BY clip_id"
    )
    assert found == [("m", "fp_1", "what is there?", f"Clip {n} runs.", None, 20) for n in range(3)]
    assert line.rows("SELECT count(*) FROM captions WHERE seconds >= 0 AND created_at > 0") == [
        (3,)
    ]
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 200, 0)
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]
    said = "openai: 3 clips, 3 requests in 3 tries, 3000 tokens read, 60 written, cost 0.0066"
    assert said in [record.getMessage() for record in caplog.records]
    assert KEY not in caplog.text + everywhere(line)


def test_the_system_prompt_is_kept_with_the_prompt(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    line = captioning(server, sqlite_url, home, 1, prompt="what?", system="Be short.")
    run_all(line, "openai")
    assert line.rows("SELECT prompt FROM captions") == [("Be short.\n\nwhat?",)]
    system, user = server.bodies[0]["messages"]
    assert (system["content"], user["content"][0]["text"]) == ("Be short.", "what?")


def test_each_clip_ends_captioned_or_failed_with_the_reason(
    server: Misbehaving, database_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.deeds = {
        0: ["status 429 0.05", "good"],
        1: ["status 500"],
        2: ["slow 9", "good"],
        3: ["cut", "reset", "good"],
        4: ["json", "strange", "good"],
        5: ["none"],
        6: ["refusal"],
        7: ["status 400"],
        8: ["reset"],
    }
    line = captioning(server, database_url, home, 10, timeout=1)
    run_all(line, "openai")
    captioned = {
        0: "Clip 0 runs.",
        2: "Clip 2 runs.",
        3: "Clip 3 runs.",
        4: "Clip 4 runs.",
        9: "Clip 9 runs.",
    }
    reasons = {
        1: "CaptionFailed",
        5: "CaptionEmpty",
        6: "CaptionRefused",
        7: "CaptionFailed",
        8: "CaptionFailed",
    }
    expected = [
        (captioned.get(n), "failed" if n in reasons else "kept", reasons.get(n)) for n in range(10)
    ]
    assert line.rows(RESULTS) == expected
    tries = {0: 2, 1: 3, 2: 2, 3: 3, 4: 3, 5: 1, 6: 1, 7: 1, 8: 3, 9: 1}
    assert (
        dict(server.asked) == tries
    )  # those that failed took no other clip along into a second request
    errors = line.rows("SELECT error FROM clips WHERE status = 'failed' ORDER BY id")
    assert "answers 500 Internal Server Error: no such luck" in errors[0][0]
    assert "I cannot describe this." in errors[2][0]
    assert KEY not in caplog.text + everywhere(line)


def test_a_server_that_lets_nobody_in_fails_no_clip(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.usual = ["status 401"]
    line = captioning(server, sqlite_url, home, 3)
    with pytest.raises(CaptionServer):
        run_all(line, "openai")
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]
    assert "answers 401" in line.rows("SELECT error FROM batches")[0][0]
    assert KEY not in everywhere(line)


def test_a_clip_that_the_server_does_not_let_in_fails_alone_where_others_are_answered(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    """Some gateways answer 403 for a picture that they do not like."""
    server.deeds = {1: ["status 403"], 2: ["status 404"], 3: ["refusal"]}
    line = captioning(server, database_url, home, 4)
    run_all(line, "openai")
    reasons = [None, "CaptionFailed", "CaptionFailed", "CaptionRefused"]
    assert [row[2] for row in line.rows(RESULTS)] == reasons
    assert "answers 403" in line.rows("SELECT error FROM clips ORDER BY id")[1][0]
    assert server.asked == dict.fromkeys(range(4), 1)


@pytest.mark.parametrize("answer", ["refusal", "none"])
def test_a_refusal_is_an_answer_too(
    server: Misbehaving, sqlite_url: str, home: Path, answer: str
) -> None:
    server.deeds = {0: [answer], 1: ["status 403"]}
    line = captioning(server, sqlite_url, home, 2)
    run_all(line, "openai")
    assert [row[1] for row in line.rows(RESULTS)] == ["failed", "failed"]


def test_what_a_server_answered_before_it_went_is_saved_and_not_asked_again(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    server.deeds = {1: ["last"]}
    line = captioning(server, database_url, home, 4, concurrency=1)
    with pytest.raises(CaptionServer, match="refused"):
        run_all(line, "openai")
    assert [(row[0], row[1]) for row in line.rows(RESULTS)] == [
        ("Clip 0 runs.", "kept"), ("Clip 1 runs.", "kept"), (None, "active"), (None, "active"),
    ]  # fmt: skip
    with caption_server(int(server.url.split(":")[2].partition("/")[0])) as again:
        run_all(line, "openai")
    assert line.rows(RESULTS) == [(f"Clip {n} runs.", "kept", None) for n in range(4)]
    assert (server.asked, again.asked) == ({0: 1, 1: 1}, {2: 1, 3: 1})


def test_no_more_requests_at_a_time_than_the_option_says(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.seconds = 0.15
    line = captioning(server, sqlite_url, home, 9, concurrency=3)
    run_all(line, "openai")
    assert server.most == 3
    assert [row[1] for row in line.rows(RESULTS)] == ["kept"] * 9


def worker_of(line: Line, host: str) -> subprocess.Popen[str]:
    """A process that captions until nothing waits, as on a host of that name."""
    environment = {**os.environ, **line.settings.environment(), "MY_KEY": KEY}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, host], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_three_processes_on_two_hosts_ask_two_at_a_time(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    server.seconds = 0.1
    server.answers.clear()
    line = captioning(server, database_url, home, 12, batch_size=2, concurrency=2)
    workers = [worker_of(line, host) for host in ("alpha", "alpha", "beta")]
    holders = "SELECT count(DISTINCT owner) FROM clips"  # none of them shall be late
    wait_until(lambda: line.rows(holders) == [(3,)], 50)
    server.answers.set()
    assert [worker.communicate() and worker.returncode for worker in workers] == [0, 0, 0]
    assert (server.most, len(server.times)) == (2, 12)
    assert line.rows(RESULTS) == [(f"Clip {n} runs.", "kept", None) for n in range(12)]
    hosts = {row[0].partition("@")[2] for row in line.rows("SELECT worker FROM batches")}
    assert hosts == {"alpha", "beta"}


def test_kill_9_makes_no_clip_asked_twice_but_those_in_flight(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.seconds = 0.1
    line = captioning(server, sqlite_url, home, 12, batch_size=8, concurrency=2)
    worker = worker_of(line, "alpha")
    try:
        wait_until(lambda: sum(server.asked.values()) >= 6, 90)  # in its first batch
    finally:
        worker.kill()
        _, log = worker.communicate()
    assert line.rows("SELECT count(*) FROM captions") == [(0,)]
    assert 4 <= line.rows("SELECT count(*) FROM answers")[0][0] < 8
    assert 1 <= line.rows("SELECT count(*) FROM permits")[0][0] <= 3  # they end by themselves
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE permits SET until = until - 60"))
    owners = line.rows("SELECT DISTINCT owner FROM clips WHERE owner IS NOT NULL")
    line.expire(*[row[0] for row in owners])
    run_all(line, "openai")
    assert line.rows(RESULTS) == [(f"Clip {n} runs.", "kept", None) for n in range(12)]
    assert line.rows("SELECT count(*) FROM captions") == [(12,)]
    twice = [clip for clip, times in server.asked.items() if times > 1]
    assert len(twice) <= 2
    assert max(server.asked.values()) <= 2
    assert line.rows("SELECT count(*) FROM answers") == [(0,)]
    assert KEY not in log


def test_what_was_asked_when_the_dataset_was_cancelled_is_not_asked_again(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    """Its batch is not saved, but the answers are kept for whoever has the clips then."""
    server.answers.clear()
    line = captioning(server, sqlite_url, home, 2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_all, line, "openai")
        try:
            wait_until(lambda: len(server.times) == 2)
            cancel(line.engine, line.dataset)
        finally:
            server.answers.set()
        assert "2 lost to others" in running.result()[0]
    resume(line.engine, line.dataset)
    run_all(line, "openai")
    assert line.rows(RESULTS) == [(f"Clip {n} runs.", "kept", None) for n in range(2)]
    assert server.asked == {0: 1, 1: 1}
    assert line.rows("SELECT count(*) FROM answers") == [(0,)]


def test_the_budget_pauses_the_dataset_within_a_batch_and_more_lets_it_go_on(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    prices = {"price": {"input": 1, "output": 50}}  # 0.002 a request
    line = captioning(
        server, database_url, home, 9, concurrency=1, max_cost=0.005, batch_size=6, **prices
    )
    with pytest.raises(BudgetSpent, match=r"spent 0\.006 of 0\.005"):
        run_all(line, "openai")
    assert [row[1] for row in line.rows(RESULTS)] == ["kept"] * 3 + ["active"] * 6
    assert line.rows("SELECT state FROM datasets") == [("paused",)]
    assert run_all(line, "openai") == []
    steps = [
        {**step, "max_cost": 1} if step.get("stage") == "openai" else step
        for step in line.pipeline.frozen()
    ]
    with line.engine.begin() as connection:
        more = text("UPDATE datasets SET pipeline = :steps")
        connection.execute(more, {"steps": json.dumps(steps)})
    resume(line.engine, line.dataset)
    run_all(line, "openai")
    assert server.asked == dict.fromkeys(range(9), 1)
    assert line.rows("SELECT requests, tokens_in, tokens_out FROM spending") == [(9, 9000, 180)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_cost": 1}, "max_cost needs prices"),
        ({"servers": [{"url": "http://a/v1"}] * 2}, "an address twice"),
        ({"model": "", "servers": [{"url": "http://a/v1", "model": "m"}]}, "told apart by model"),
    ],
)
def test_servers_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Openai.check(OpenaiOptions(**{"model": "m"} | options))


def test_a_server_of_several_has_what_the_stage_has_unless_it_says_otherwise() -> None:
    several = [{"url": "http://a/v1"}, {"url": "http://b/v1", "model": "n", "concurrency": 2}]
    options = OpenaiOptions(model="m", concurrency=5, servers=several)
    assert [(e.model, e.concurrency, e.weight) for e in options.entries] == [
        ("m", 5, 1), ("n", 2, 1),
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="no login"):
        OpenaiOptions(servers=[{"url": "http://me:key@a/v1"}])


@pytest.mark.parametrize(("send", "kind"), [("frames", "image_url"), ("video", "video_url")])
def test_frames_of_a_video_are_sent_small(
    server: Misbehaving, sqlite_url: str, home: Path, tmp_path: Path, send: str, kind: str
) -> None:
    line = captioning(
        server,
        sqlite_url,
        home,
        0,
        frames=4,
        longer_size=80,
        send=send,
        body={"seed": 1, "temperature": None},
    )
    line.put_clips(1, "openai", "/v/a.mp4")
    path = draw("closed", tmp_path).path
    with line.engine.begin() as connection:
        place = {"p": str(path), "n": 1, "d": 12288, "f": fingerprint_now(str(path))}
        connection.execute(
            text(
                "UPDATE videos SET path = :p, time_base_num = :n, time_base_den = :d,"
                " fingerprint = :f"
            ),
            place,
        )
        connection.execute(text("UPDATE clips SET end_pts = 512 * 48, num_frames = 48"))
    run_all(line, "openai")
    assert line.rows(RESULTS)[0][1:] == ("kept", None)
    (body,) = server.bodies
    assert "temperature" not in body
    assert body["seed"] == 1
    shown = body["messages"][0]["content"][1:]
    assert [part["type"] for part in shown] == [kind] * (4 if send == "frames" else 1)
    assert _sizes(shown) == [(80, 48)] * 4


def _sizes(shown: Any) -> list[tuple[int, int]]:
    """Width and height of each picture that was sent."""
    import base64
    import io

    import av

    found = []
    for part in shown:
        content = base64.b64decode(part[part["type"]]["url"].partition(";base64,")[2])
        with av.open(io.BytesIO(content)) as container:
            found += [(frame.width, frame.height) for frame in container.decode(video=0)]
    return found


def test_frames_are_from_the_middles_of_equal_parts() -> None:
    captioner = OpenaiCaptioner(OpenaiOptions(model="m", frames=4, longer_size=100), "openai")
    assert captioner.choose_frames(SpanShape(100, 25, 400, 200)).indices == [12, 37, 62, 87]
    assert captioner.choose_frames(SpanShape(100, 25, 400, 200)).size == (100, 50)
    assert captioner.choose_frames(SpanShape(3, 25, 40, 80)).indices == [0, 1, 2]  # none twice
    assert captioner.choose_frames(SpanShape(3, 25, 40, 80)).size == (40, 80)  # none enlarged


@pytest.mark.parametrize(
    "url",
    ["ftp://h/v1", "h:8000/v1", "http://me:key@h/v1", "https://h/v1?api_key=1", "", "http:///v1"],
)
def test_an_address_that_holds_a_secret_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="it must"):
        OpenaiOptions(url=url)


@pytest.mark.parametrize(
    "options",
    [
        {"key_variable": KEY},
        {"servers": [{"url": "http://a/v1", "auth": KEY}]},
        {"servers": [{"url": "http://a/v1", "key_variable": KEY}]},
        {"url": f"http://{KEY}@h/v1"},
        {"url": f"http://h/v1?t={KEY}"},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_told(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        OpenaiOptions(model="m", **options)
    assert KEY not in first_problem(error.value)


def test_without_a_model_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="model: NAME"):
        Openai.check(OpenaiOptions())


def test_a_key_that_cannot_be_sent_is_refused_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    options = OpenaiOptions(model="m", key_variable="MY_KEY")
    Openai.check(options)  # unset here: that of the workers counts
    monkeypatch.setenv("MY_KEY", "sk-12\nsecret")
    with pytest.raises(CaptionServer, match="the key in MY_KEY holds") as error:
        Openai.check(options)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"per_minute": 1, "batch_size": 61},
            "61 clips at 1 a minute take 3660 s.*time_limit of 3600 s",
        ),
        (
            {"timeout": 600, "tries": 6},
            "6 tries of 600 s, 60 s apart, take 3900 s.*time_limit of 3600 s",
        ),
        (
            {"timeout": 60, "tries": 2, "longest_wait": 3600},
            "take 3720 s",
        ),  # a server may ask for the longest wait
    ],
)
def test_options_that_need_more_than_the_time_limit_are_refused(
    options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        Openai.check(OpenaiOptions(model="m", **options))
    Openai.check(OpenaiOptions(model="m", **options, time_limit=86400))


def test_options_that_just_fit_the_time_limit_are_taken() -> None:
    Openai.check(OpenaiOptions(model="m", per_minute=1, batch_size=60))
    Openai.check(OpenaiOptions(model="m", tries=2, timeout=1740, longest_wait=120))
