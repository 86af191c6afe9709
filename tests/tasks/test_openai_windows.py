"""Windows of clips, captioned by a server: a row each, one of the clip, and no request twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from curate.tasks.clean_text import CleanText
from curate.tasks.inputs.files import fingerprint_now
from curate.tasks.openai import Openai
from curate.worker import batch_files as module
from curate.worker.batch_files import BatchFiles
from tests.caption_server import STEP, caption_server, clip_of, good
from tests.caption_server import CaptionServer as Misbehaving
from tests.media import write_video
from tests.pipelines import CATALOG, Line, make_line
from tests.worker.conftest import run_all

ROWS = (
    "SELECT text_raw, window_start_pts, window_end_pts, summary FROM captions"
    " WHERE clip_id = 1 ORDER BY id"
)
SECOND = 12288  # pts, at 24 frames a second in an MP4


@pytest.fixture
def server(catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setitem(CATALOG, "openai", Openai)
    monkeypatch.setitem(CATALOG, "clean_text", CleanText)
    monkeypatch.setattr(module, "stages", lambda: CATALOG)
    with caption_server() as started:
        yield started


def captioning(
    server: Misbehaving, url: str, home: Path, clips: int = 1, step: Any = None, **options: Any
) -> Line:
    """Clips of 3 seconds that wait for captions of their seconds; the gray levels of these tell
    the server which it is: 0, 1, 2, of the next clip 3, 4, 5. `step`: another stage than openai.
    """
    home.mkdir()
    usual = {"url": server.url, "model": "m", "wait": 0.001, "tries": 2, "frames": 2}
    stage = step or {"stage": "openai", **usual, "windows": {"seconds": 1}, **options}
    line = make_line(url, home, [stage, "clean_text"])
    for clip in range(clips):
        levels = [STEP * (3 * clip + n // 24) for n in range(72)]
        frames = [np.full((32, 48, 3), level, np.uint8) for level in levels]
        path = write_video(home / f"{clip}.mp4", frames)
        line.put_clips(1, stage["stage"], f"/v/{clip}.mp4")
        with line.engine.begin() as connection:
            known = {"p": str(path), "f": fingerprint_now(str(path)), "r": f"{clip}.mp4"}
            base = "time_base_num = 1, time_base_den = 12288"
            connection.execute(
                text(f"UPDATE videos SET path = :p, fingerprint = :f, {base} WHERE relpath = :r"),
                known,
            )
            connection.execute(text("UPDATE clips SET end_pts = 36864, num_frames = 72"))
    return line


def test_each_window_is_captioned_and_the_clip_has_them_joined(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    line = captioning(server, database_url, home)
    run_all(line, "openai")
    said = [f"Clip {n} runs." for n in range(3)]
    windows = [(said[n], n * SECOND, (n + 1) * SECOND, "joined") for n in range(3)]
    joined = " ".join(said)
    assert line.rows(ROWS) == [*windows, (joined, None, None, "joined")]
    assert line.rows("SELECT sum(tokens) FROM captions") == [(60,)]  # the clip's is no answer
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [(joined, "m")]
    assert line.rows("SELECT count(text) FROM captions") == [(4,)]

    asked = len(server.bodies)  # of other windows, they take the place of the earlier ones
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'openai', status = 'active'"))
        again = line.dataset.pipeline_text.replace('"seconds": 1.0', '"seconds": 2.0')
        connection.execute(text("UPDATE datasets SET pipeline = :p"), {"p": again})
    run_all(line, "openai")
    assert len(server.bodies) == asked + 2
    found = [row[1:3] for row in line.rows(ROWS)]
    assert found == [(0, 2 * SECOND), (2 * SECOND, 3 * SECOND), (None, None)]


def test_what_was_answered_about_windows_is_not_asked_again(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    server.deeds = {2: ["status 401", "good"]}
    line = captioning(server, database_url, home, windows={"seconds": 1, "summary": "none"})
    with pytest.raises(Exception, match="401"):
        run_all(line, "openai")
    assert line.rows("SELECT count(*) FROM answers") == [(2,)]
    assert line.rows("SELECT count(*) FROM captions") == [(0,)]
    run_all(line, "openai")
    assert server.asked == {0: 1, 1: 1, 2: 2}
    assert [row[::3] for row in line.rows(ROWS)] == [(f"Clip {n} runs.", None) for n in range(3)]
    assert line.rows("SELECT text FROM clips") == [(None,)]  # another stage makes it
    assert line.rows("SELECT count(*) FROM answers") == [(0,)]


def test_answers_about_windows_may_come_in_several_files(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    line = captioning(server, database_url, home, 2, offline=True, price={"input": 1})

    def files() -> BatchFiles:
        return BatchFiles(line.settings, line.engine, line.dataset, line.pipeline, "openai")

    def load(*lines: str) -> tuple[int, ...]:
        counts = files().load(lines, "answers.jsonl", lambda done: None)
        return counts.loaded, counts.failed, counts.incomplete, counts.not_waiting

    requests = [json.loads(one) for one in files().request_lines([1, 2], lambda done, of: None, {})]
    assert [clip_of(request["body"]) for request in requests] == [0, 1, 2, 3, 4, 5]
    assert len({request["custom_id"] for request in requests}) == 6
    answers = [
        json.dumps({"custom_id": r["custom_id"], "response": {"body": good(f"Window {n}.")}})
        for n, r in enumerate(requests)
    ]
    assert load(answers[1], answers[5]) == (0, 0, 2, 0)
    assert load(answers[1]) == (0, 0, 1, 0)  # once more
    assert load(*answers[2:5], answers[0]) == (2, 0, 0, 0)
    assert [row[0] for row in line.rows(ROWS)][:3] == [f"Window {n}." for n in range(3)]
    assert load(*answers) == (0, 0, 0, 6)
    spent = line.rows("SELECT requests, tokens_in FROM spending")
    assert spent == [(6, 6000)]
    assert line.rows("SELECT count(*) FROM answers") == [(0,)]
    assert server.bodies == []


def test_each_window_has_its_fields_and_the_clip_those_of_all(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.usual = ["fields"]
    server.deeds = {1: ["fields missing", "fields"]}
    line = captioning(server, sqlite_url, home, fields=["subject", "dense"])
    run_all(line, "openai", "clean_text")
    assert dict(server.asked) == {0: 1, 1: 2, 2: 1}
    query = "SELECT caption_id, field, text FROM caption_fields ORDER BY caption_id, field"
    told = {n: f"of clip {n}." for n in range(3)}
    every = [(n + 1, f, f"The {f} {told[n]}") for n in range(3) for f in ("dense", "subject")]
    joined = {f: " ".join(f"The {f} {told[n]}" for n in range(3)) for f in ("dense", "subject")}
    assert line.rows(query) == [*every, *[(4, f, joined[f]) for f in joined]]
    assert line.rows("SELECT text FROM clips") == [(joined["dense"],)]
