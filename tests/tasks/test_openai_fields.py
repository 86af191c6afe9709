"""Captions in fields by `openai`, against a server that misbehaves: each clip has all its fields,
or failed with the reason.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from curate.configs.row_errors import CaptionMalformed
from curate.tasks.openai import Openai, OpenaiCaptioner, OpenaiOptions
from curate.tasks.servers.server_stage import Answer, Usage
from curate.worker.gate import SharedGate
from tests.caption_server import KEY, caption_server
from tests.caption_server import CaptionServer as Misbehaving
from tests.pipelines import CATALOG
from tests.tasks.test_openai import RESULTS, captioning
from tests.worker.conftest import run_all

NAMES = ["subject", "action", "short"]
FIELDS = (
    "SELECT clip_id, field, f.text FROM caption_fields f JOIN captions c ON c.id = f.caption_id "
    "ORDER BY 1, 2"
)


@pytest.fixture
def server(catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setitem(CATALOG, "openai", Openai)
    with caption_server() as started:
        started.usual = ["fields"]
        yield started


def fields_of(clip: int) -> list[tuple[int, str, str]]:
    """The rows of a clip, whose id is one more than its number at the server."""
    return [(clip + 1, name, f"The {name} of clip {clip}.") for name in sorted(NAMES)]


def test_each_clip_has_all_its_fields_whatever_is_around_them(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    again = ("empty", "number", "list", "broken", "python", "prose")
    server.deeds = {
        0: ["fields fenced"],
        1: ["fields wordy"],
        2: ["fields more"],
        3: ["trickle"],
        4: ["drip", "status 500", "trickle"],
        5: ["fields missing", "status 503", "fields"],
        **{n: [f"fields {fault}", "fields"] for n, fault in enumerate(again, 6)},
    }
    line = captioning(server, database_url, home, 12, fields=NAMES, timeout=0.5)
    run_all(line, "openai")
    texts = [" ".join(f"The {name} of clip {n}." for name in NAMES) for n in range(12)]
    assert line.rows(RESULTS) == [(text, "kept", None) for text in texts]
    assert line.rows(FIELDS) == [row for n in range(12) for row in fields_of(n)]
    tries = {4: 3, 5: 3} | dict.fromkeys(range(6, 12), 2)
    assert dict(server.asked) == {n: tries.get(n, 1) for n in range(12)}
    (format_,) = {json.dumps(body["response_format"]["json_schema"]) for body in server.bodies}
    schema = json.loads(format_)["schema"]
    assert (list(schema["properties"]), schema["required"]) == (NAMES, NAMES)
    _, wrong, told = next(b for b in server.bodies if len(b["messages"]) > 1)["messages"]
    assert (wrong["role"], told["role"]) == ("assistant", "user")


def test_a_clip_without_all_its_fields_failed_with_the_reason(
    server: Misbehaving, sqlite_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    whys = {
        "missing": "short is missing",
        "empty": "short is empty",
        "list": "short is no text",
        "number": "short is no text",
        "broken": "its JSON breaks off",
        "python": "its JSON is not valid",
        "prose": 'it holds no JSON object. It wrote "I cannot describe this, as an AI."',
    }
    server.deeds = {
        **{n: [f"fields {fault}"] for n, fault in enumerate(whys)},
        7: ["refusal"],
        8: ["blank"],
        9: ["fields missing", "status 400"],
        10: ["fields prose", "refusal"],
    }
    line = captioning(server, sqlite_url, home, 12, fields=NAMES)
    run_all(line, "openai")
    reasons = ["CaptionMalformed"] * 7 + ["CaptionRefused", "CaptionEmpty", "CaptionFailed"]
    assert [row[2] for row in line.rows(RESULTS)] == [*reasons, "CaptionRefused", None]
    assert line.rows(FIELDS) == fields_of(11)
    tries = {7: 1, 8: 1, 9: 3, 11: 1}
    assert dict(server.asked) == {n: tries.get(n, 2) for n in range(12)}
    errors = [row[0] for row in line.rows("SELECT error FROM clips ORDER BY id")]
    assert [why in error for why, error in zip(whys.values(), errors, strict=False)] == [True] * 7
    assert KEY not in caplog.text + repr(errors)


def test_a_server_without_json_schemas_is_found_out_once_and_asked_by_the_prompt(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.deeds = {0: ["status 400"]}  # whatever it is asked
    server.usual = ["formatless"]
    line = captioning(server, sqlite_url, home, 5, fields=NAMES, concurrency=1, batch_size=3)
    run_all(line, "openai")
    assert [row[2] for row in line.rows(RESULTS)] == ["CaptionFailed", *[None] * 4]
    assert line.rows(FIELDS) == [row for n in range(1, 5) for row in fields_of(n)]
    formats = ["response_format" in body for body in server.bodies]
    assert formats == [True, False, True, False, False, False, False]


def test_a_caption_written_anew_takes_its_fields_along(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    line = captioning(server, sqlite_url, home, 2, fields=NAMES)
    run_all(line, "openai")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'openai', status = 'active'"))
        connection.execute(text("UPDATE caption_fields SET text = 'as it was'"))
    run_all(line, "openai")
    assert line.rows(FIELDS) == fields_of(0) + fields_of(1)
    assert line.rows("SELECT id FROM captions ORDER BY id") == [(3,), (4,)]
    assert line.rows("SELECT DISTINCT caption_id FROM caption_fields ORDER BY 1") == [(3,), (4,)]


def test_an_answer_without_fields_is_not_kept_for_the_next_batch(
    server: Misbehaving, sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for the answer after a crash, and the clip would fail."""
    server.deeds = {0: ["fields missing", "fields"]}
    spent: list[tuple[Usage, Answer | None]] = []
    monkeypatch.setattr(SharedGate, "spend", lambda gate, *told: spent.append(told))
    line = captioning(server, sqlite_url, home, 1, fields=NAMES)
    run_all(line, "openai")
    assert [(usage.tokens_out, bool(answer)) for usage, answer in spent] == [
        (20, False),
        (20, True),
    ]
    assert line.rows(FIELDS) == fields_of(0)


def test_a_captioner_by_itself_writes_fields_too(server: Misbehaving) -> None:
    options = OpenaiOptions(model="m", url=server.url, fields=NAMES, wait=0)
    captioner = OpenaiCaptioner(options, "openai")
    frames = np.zeros((1, 32, 48, 3), np.uint8)
    server.deeds = {0: ["fields broken", "fields", "fields prose"]}
    caption = captioner.caption(frames, options.asked, 99)
    assert dict(caption.fields) == {name: f"The {name} of clip 0." for name in NAMES}
    with pytest.raises(CaptionMalformed, match="no JSON object"):
        captioner.caption(frames, options.asked, 99)
