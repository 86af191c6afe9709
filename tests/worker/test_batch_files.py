"""Requests in a file and answers from one: each clip ends once, with a caption or a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import AskedOffline, BadTable, UsageError
from curate.tasks.openai import Openai
from curate.worker import batch_files as module
from curate.worker.batch_files import BatchFiles
from tests.caption_server import CaptionServer as Misbehaving
from tests.caption_server import clip_of, good, in_fields
from tests.pipelines import CATALOG, Line
from tests.tasks.test_openai import RESULTS, captioning
from tests.worker.conftest import run_all


@pytest.fixture
def line(catalog: None, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setitem(CATALOG, "openai", Openai)
    monkeypatch.setattr(module, "stages", lambda: CATALOG)
    return captioning(
        Misbehaving(url="http://127.0.0.1:1/v1"),
        database_url,
        home,
        6,
        offline=True,
        price={"input": 1, "output": 5},
    )


def files_of(line: Line, **changes: Any) -> BatchFiles:
    return BatchFiles(line.settings, line.engine, line.dataset, line.pipeline, "openai", **changes)


def requests_of(line: Line) -> list[dict[str, Any]]:
    ids = [row[0] for row in line.rows("SELECT id FROM clips ORDER BY id")]
    lines = files_of(line).request_lines(ids, lambda done, of: None, {})
    return [json.loads(one) for one in lines]


def answer(request: dict[str, Any], body: Any, status: int = 200, error: Any = None) -> str:
    response = None if error else {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"custom_id": request["custom_id"], "response": response, "error": error})


def load(line: Line, lines: list[str]) -> dict[str, int]:
    counts = files_of(line).load(lines, "answers.jsonl", lambda done: None)
    names = ("loaded", "failed", "not_waiting", "outdated", "unknown")
    return {name: n for name in names if (n := getattr(counts, name))}


def test_every_answer_ends_its_clip_once(line: Line) -> None:
    with pytest.raises(AskedOffline, match="export-requests"):
        run_all(line, "openai")  # workers leave the clips alone
    requests = requests_of(line)
    assert [clip_of(r["body"]) for r in requests] == [0, 1, 2, 3, 4, 5]
    assert {(r["method"], r["url"]) for r in requests} == {("POST", "/v1/chat/completions")}
    lines = [
        answer(requests[2], good("Two.")),
        answer(requests[0], good("None.")),
        answer(requests[1], {"error": {"message": "bad picture"}}, 400),
        answer(requests[3], None, error={"code": "batch_expired", "message": "too late"}),
        answer(requests[4], good(None, message={"refusal": "I cannot"})),
        "",
    ]
    assert load(line, lines) == {"loaded": 2, "failed": 3}
    found = [
        ("None.", "kept", None), (None, "failed", "CaptionFailed"), ("Two.", "kept", None),
        (None, "failed", "CaptionFailed"), (None, "failed", "CaptionRefused"),
        (None, "active", None),
    ]  # fmt: skip
    assert line.rows(RESULTS) == found
    errors = " ".join(row[0] for row in line.rows("SELECT error FROM clips WHERE error <> ''"))
    assert all(part in errors for part in ("bad picture", "too late", "I cannot"))
    spent = [(5, 3000, 60, pytest.approx(0.0033))]
    counts = "SELECT requests, tokens_in, tokens_out, cost FROM spending"
    assert line.rows(counts) == spent
    assert load(line, lines) == {"not_waiting": 5}
    assert (line.rows(RESULTS), line.rows(counts)) == (found, spent)
    assert line.rows("SELECT model, text_raw, tokens FROM captions ORDER BY clip_id") == [
        ("m", "None.", 20), ("m", "Two.", 20),
    ]  # fmt: skip


def test_what_answers_cost_is_counted_once_though_the_load_was_killed(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [answer(request, good("It.")) for request in requests_of(line)[:2]]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    counts = "SELECT requests, tokens_in, cost FROM spending"
    spent = [(2, 2000, pytest.approx(0.0022))]
    for place in ("save", "forget_answers"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(module, place, killed)
            load(line, lines)
        assert line.rows(counts) == spent
    assert load(line, lines) == {"not_waiting": 2}
    assert line.rows(counts) == spent


def test_answers_to_other_requests_change_nothing(line: Line) -> None:
    first = requests_of(line)[0]
    clip, _, digest = first["custom_id"].partition("-")
    others = [f"{clip}-{'0' * 16}", f"{clip}", f"x-{digest}", f"{'9' * 30}-{digest}"]
    lines = [answer({"custom_id": one}, good()) for one in others]
    assert load(line, lines) == {"outdated": 1, "unknown": 3}
    twice = [answer(first, good("Early.")), answer(first, good("Late."))]
    assert load(line, twice) == {"loaded": 1, "not_waiting": 1}
    assert line.rows(RESULTS)[0][0] == "Late."


NO_ANSWERS = ("{it is", "[]", "{}", "5", '{"custom_id": "1-a", "response": 5}')
ENDLESS = '{"custom_id": "1-a", "response": {"status_code": 1e999}}'


@pytest.mark.parametrize("text", [*NO_ANSWERS, ENDLESS])
def test_what_is_no_answer_is_refused_with_its_line(line: Line, text: str) -> None:
    lines = ["", answer(requests_of(line)[0], good("x")), text]
    with pytest.raises(BadTable, match=r"answers\.jsonl.*line 3 is no answer"):
        load(line, lines)
    assert {row[1] for row in line.rows(RESULTS)} == {"active"}
    assert line.rows("SELECT DISTINCT owner FROM clips") == [(None,)]


def test_a_clip_that_cannot_be_read_has_no_request_and_the_others_have(line: Line) -> None:
    (path,) = line.rows("SELECT path FROM videos WHERE relpath = '3.png'")[0]
    Path(path).write_bytes(b"no picture")
    failures: dict[int, str] = {}
    ids = [row[0] for row in line.rows("SELECT id FROM clips ORDER BY id")]
    lines = list(files_of(line).request_lines(ids, lambda done, of: None, failures))
    assert (len(lines), list(failures)) == (5, [ids[3]])


def test_a_stage_that_asks_no_server_has_no_requests(line: Line) -> None:
    with pytest.raises(UsageError, match="exports no requests; those that do: openai"):
        BatchFiles(line.settings, line.engine, line.dataset, line.pipeline, "probe")


def test_requests_carry_the_fields_and_answers_without_them_fail(
    catalog: None, sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be asked again here: the reason says what is wrong."""
    monkeypatch.setitem(CATALOG, "openai", Openai)
    monkeypatch.setattr(module, "stages", lambda: CATALOG)
    nobody = Misbehaving(url="http://127.0.0.1:1/v1")
    line = captioning(nobody, sqlite_url, home, 3, offline=True, fields=["short", "dense"])
    bodies = [request["body"] for request in requests_of(line)]
    schema = bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["short", "dense"]
    faults = ("fenced", "missing", "prose")
    written = [good(in_fields(n, bodies[n], fault)) for n, fault in enumerate(faults)]
    lines = [answer(r, w) for r, w in zip(requests_of(line), written, strict=True)]
    assert load(line, lines) == {"loaded": 1, "failed": 2}
    assert line.rows(RESULTS) == [
        ("The dense of clip 0.", "kept", None), *[(None, "failed", "CaptionMalformed")] * 2,
    ]  # fmt: skip
    assert line.rows("SELECT field, text FROM caption_fields ORDER BY 1") == [
        ("dense", "The dense of clip 0."), ("short", "The short of clip 0."),
    ]  # fmt: skip
