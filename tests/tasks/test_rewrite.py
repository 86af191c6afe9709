"""The stage `rewrite` from claim to save, against a server that misbehaves: each clip has all its
texts, or failed with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from curate.configs.errors import BudgetSpent, CaptionServer, ConfigError
from curate.db.datasets import cancel, resume
from curate.tasks.clean_text import CleanText, CleanTextOptions
from curate.tasks.rewrite import Rewrite, RewriteOptions
from curate.worker.batch_files import BatchFiles
from tests.caption_server import KEY, caption_server, good, rewritten
from tests.caption_server import CaptionServer as Misbehaving
from tests.pipelines import CATALOG, Line, make_line, pipeline, wait_until
from tests.tasks.captioned import put_clip, put_input_columns, redo_stage
from tests.worker.conftest import run_all

TEXTS = "SELECT text_short, text_dense, rewrite_drift, rewrite_added FROM clips ORDER BY id"
ENDS = "SELECT status, reason FROM clips ORDER BY id"
ANY = {"text_short": {"words": [1, 90]}}
ROWS = "SELECT clip_id, variant, model, revision, text, drift, added FROM rewrites ORDER BY id"


@pytest.fixture
def server(catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setitem(CATALOG, "rewrite", Rewrite)
    monkeypatch.setitem(CATALOG, "clean_text", CleanText)
    with caption_server() as started:
        started.usual = ["rewrites"]
        yield started


def rewriting(
    server: Misbehaving, url: str, home: Path, clips: int, then: Any = (), **options: Any
) -> Line:
    """As many clips that wait for the stage, each with a caption that tells its number."""
    usual = {"url": server.url, "model": "w", "key_variable": "MY_KEY", "wait": 0.001, "tries": 3}
    line = make_line(url, home, [{"stage": "rewrite", **usual, **options}, *then])
    for n in range(clips):
        put_clip(line, ("m", f"Clip {n} runs."), stage="rewrite")
    return line


def notes(server: Misbehaving, number: int = 0) -> list[str]:
    """What a request told about its clip."""
    return str(server.bodies[number]["messages"][1]["content"]).splitlines()


def test_every_variant_is_a_row_that_tells_who_wrote_it_and_what_was_asked(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    server.deeds = {1: ["rewrites adding"]}
    line = rewriting(server, database_url, home, 2)
    run_all(line, "rewrite")
    added = "Clip 1 runs with 7 dogs."
    assert line.rows(TEXTS) == [
        ("Clip 0 runs.", "Clip 0 runs.", 0.0, None),
        (added, added, 0.5, "7, dogs"),
    ]
    told = [(1, "Clip 0 runs.", 0.0, "[]"), (2, added, 0.5, '["7", "dogs"]')]
    assert line.rows(ROWS) == [
        (clip, variant, "w", "fp_1", *rest)
        for clip, *rest in told
        for variant in ("text_short", "text_dense")
    ]
    ((prompt,),) = line.rows("SELECT DISTINCT prompt FROM rewrites")
    first, second = sorted(server.bodies, key=lambda body: str(body["messages"][1]))
    assert first["messages"][0] == second["messages"][0] == {"role": "system", "content": prompt}
    assert first["messages"][1:] == [{"role": "user", "content": "Caption: Clip 0 runs."}]
    assert first["response_format"]["json_schema"]["schema"]["required"] == [
        "text_short", "text_dense",
    ]  # fmt: skip
    assert "- text_short: 5 to 40 words" in prompt


def test_each_clip_ends_with_texts_or_failed_with_the_reason(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    """Asked once more is about a text that does not fit, and about nothing else."""
    again = ("fields broken", "fields missing", "rewrites long", "rewrites leaking")
    server.deeds = {
        **{n: [deed, "rewrites"] for n, deed in enumerate(again)},
        4: ["status 429 0.05", "cut", "rewrites"],
        5: ["rewrites long"],
        6: ["fields broken"],
        7: ["rewrites refusing", "rewrites"],
        8: ["fields prose"],
        9: ["refusal"],
        10: ["blank"],
        11: ["status 400"],
        12: ["status 500"],
        13: ["rewrites long", "slow 9", "rewrites"],
    }
    line = rewriting(server, database_url, home, 14, timeout=1)
    run_all(line, "rewrite")
    reasons = dict(enumerate(["RewriteUnfit"] * 2 + ["CaptionRefused"] * 3, 5))
    reasons |= {10: "CaptionEmpty", 11: "CaptionFailed", 12: "CaptionFailed"}
    ends = [("failed", reasons[n]) if n in reasons else ("kept", None) for n in range(14)]
    assert line.rows(ENDS) == ends
    told = [row[0] for row in line.rows(TEXTS)]
    assert told == [None if n in reasons else f"Clip {n} runs." for n in range(14)]
    # to a request with status 400 another one follows, without response_format
    tries = [2, 2, 2, 2, 3, 2, 2, 1, 1, 1, 1, 2, 3, 3]
    assert dict(server.asked) == dict(enumerate(tries))
    errors = dict(line.rows("SELECT clip_index + video_id - 1, error FROM clips"))
    assert "text_short has 603 words, not 1 to 40" in errors[5]
    assert "its JSON breaks off" in errors[6]
    assert "I'm sorry" in errors[7]
    said = [body["messages"][-1]["content"] for body in server.bodies if len(body["messages"]) > 2]
    assert any("text_dense has 603 words, not 1 to 200" in one for one in said)
    assert any("text_short repeats what was asked" in one for one in said)


def test_a_server_without_response_format_is_asked_without(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.usual = ["formatless"]
    line = rewriting(server, sqlite_url, home, 2, concurrency=1)
    run_all(line, "rewrite")
    assert line.rows(ENDS) == [("kept", None)] * 2
    assert ["response_format" in body for body in server.bodies] == [True, False, False]


def test_a_server_that_lets_nobody_in_fails_no_clip(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.usual = ["status 401"]
    line = rewriting(server, sqlite_url, home, 2)
    with pytest.raises(CaptionServer):
        run_all(line, "rewrite")
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]


def test_another_server_takes_over_from_one_that_is_away(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    with caption_server() as away:
        gone = away.url
    servers = [{"url": gone}, {"url": server.url}]
    line = rewriting(server, sqlite_url, home, 3, servers=servers)
    run_all(line, "rewrite")
    assert line.rows(ENDS) == [("kept", None)] * 3


def test_the_budget_pauses_the_dataset_within_a_batch(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    prices = {"price": {"input": 1, "output": 50}, "max_cost": 0.005}  # 0.002 a request
    line = rewriting(server, sqlite_url, home, 6, concurrency=1, **prices)
    with pytest.raises(BudgetSpent):
        run_all(line, "rewrite")
    assert [row[0] for row in line.rows(ENDS)] == ["kept"] * 3 + ["active"] * 3
    assert line.rows("SELECT state FROM datasets") == [("paused",)]


def test_answers_that_could_not_be_saved_are_not_asked_for_again(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    """Neither a text that fits at once, nor one that was asked for once more."""
    server.answers.clear()
    server.deeds = {0: ["rewrites long", "rewrites"]}
    line = rewriting(server, sqlite_url, home, 2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_all, line, "rewrite")
        try:
            wait_until(lambda: len(server.times) == 2)
            cancel(line.engine, line.dataset)
        finally:
            server.answers.set()
        assert "2 lost to others" in running.result()[0]
    resume(line.engine, line.dataset)
    run_all(line, "rewrite")
    assert line.rows(ENDS) == [("kept", None)] * 2
    assert server.asked == {0: 2, 1: 1}
    assert line.rows("SELECT count(*) FROM answers") == [(0,)]


def test_all_that_is_known_of_a_clip_is_told(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    line = rewriting(
        server, sqlite_url, home, 0, columns={"tags": "tags", "look": "look"}, variants=ANY
    )
    clip = put_clip(
        line, ("m", "Clip 0\nwalks."), ("n", "A dog."), ("m", "Clip 0 runs."), stage="rewrite"
    )
    put_input_columns(line, tags="pan_left", look=json.dumps([["OPEN", 2], ["8:15", 1]]))
    with line.engine.begin() as connection:
        newest = connection.execute(text("SELECT max(id) FROM captions")).scalar_one()
        field = "INSERT INTO caption_fields VALUES (:c, 'light', 'at night')"
        connection.execute(text(field), {"c": newest})
    run_all(line, "rewrite")
    assert notes(server) == [
        "Caption: Clip 0 runs.", "Light: at night", "Caption: A dog.", "Tags: pan left",
        'Look: "OPEN", "8:15"',
    ]  # fmt: skip
    assert line.rows("SELECT clip_id FROM rewrites") == [(clip,)]


def test_windows_become_one_text(server: Misbehaving, sqlite_url: str, home: Path) -> None:
    """Those of the newest captions, and not what was joined of them."""
    line = rewriting(server, sqlite_url, home, 0, variants=ANY)
    clip = put_clip(line, ("m", "Clip 9 runs."), stage="rewrite")
    insert = (
        "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at,"
        " window_start_pts, window_end_pts, summary)"
        " VALUES (:c, 'm', 'r2', '', :t, 5, :a, :b, 'joined')"
    )
    windows = [
        ("Clip 0 runs.", 90, 180),
        ("It sits.", 180, 225),
        ("Clip 0 runs. It sits.", None, None),
    ]
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET time_base_num = 1, time_base_den = 90"))
        connection.execute(text("UPDATE clips SET start_pts = 90"))
        for said, start, end in windows:
            connection.execute(text(insert), {"c": clip, "t": said, "a": start, "b": end})
    run_all(line, "rewrite")
    assert notes(server) == ["From 0.0 to 1.0 s: Clip 0 runs.", "From 1.0 to 1.5 s: It sits."]
    assert line.rows(TEXTS) == [("Clip 0 runs.", None, 0.0, None)]


def test_answers_come_by_file_too(server: Misbehaving, sqlite_url: str, home: Path) -> None:
    """Nobody is asked once more then."""
    line = rewriting(server, sqlite_url, home, 2, offline=True)
    files = BatchFiles(line.settings, line.engine, line.dataset, line.pipeline, "rewrite")
    requests = [json.loads(one) for one in files.request_lines([1, 2], lambda *_: None, {})]
    kinds = dict(zip([request["custom_id"] for request in requests], ("", "long"), strict=True))
    answers = [
        {
            "custom_id": request["custom_id"],
            "response": {"body": good(rewritten(0, request["body"], kinds[request["custom_id"]]))},
        }
        for request in requests
    ]
    counts = files.load(map(json.dumps, answers), "answers.jsonl", lambda _: None)
    assert (counts.loaded, counts.failed) == (1, 1)
    assert line.rows(ENDS) == [("kept", None), ("failed", "RewriteUnfit")]
    assert not server.bodies


def test_a_caption_by_hand_stands_alone_and_without_any_the_input_counts(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    line = rewriting(server, sqlite_url, home, 0, concurrency=1)
    put_clip(line, ("m", "Clip 7 runs."), ("table", "Clip 0 runs."), stage="rewrite")
    put_clip(line, stage="rewrite")
    put_input_columns(line, text="Clip 1 runs.")
    put_clip(line, stage="rewrite")  # of which nothing is known
    run_all(line, "rewrite")
    assert [notes(server, n) for n in (0, 1)] == [[f"Caption: Clip {n} runs."] for n in (0, 1)]
    assert line.rows(TEXTS)[2] == (None,) * 4
    assert len(server.bodies) == 2


def test_nothing_stays_written_of_captions_that_are_gone(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    """Else clean_text would go on making the text of it."""
    line = rewriting(server, sqlite_url, home, 1)
    run_all(line, "rewrite")
    assert line.rows("SELECT count(*) FROM rewrites") == [(2,)]
    with line.engine.begin() as connection:
        connection.execute(text("DELETE FROM captions"))
    redo_stage(line, "rewrite")
    run_all(line, "rewrite")
    assert line.rows("SELECT count(*) FROM rewrites") == [(0,)]
    assert line.rows(TEXTS) == [(None,) * 4]


def test_neighbours_are_told_and_hold_nothing(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    """What only a neighbour shows is not in this clip: it counts as added."""
    line = rewriting(server, sqlite_url, home, 0, neighbours=1, concurrency=1)
    ids = line.put_clips(3, "rewrite")
    captions = ("Clip 0 runs with 7 dogs.", "Clip 1 runs.", "Clip 2 runs.")
    with line.engine.begin() as connection:
        for clip, said in zip(ids, captions, strict=True):
            row = {"c": clip, "t": said}
            insert = "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
            connection.execute(text(f"{insert} VALUES (:c, 'm', '', '', :t, 5)"), row)
    server.deeds = {1: ["rewrites adding"]}
    run_all(line, "rewrite")
    assert notes(server, 1) == [
        "Caption: Clip 1 runs.",
        "Clip 1 before: Clip 0 runs with 7 dogs.",
        "Clip 1 after: Clip 2 runs.",
    ]
    assert [row[3] for row in line.rows(TEXTS)] == [None, "7, dogs", None]


def test_variants_are_those_of_the_option_and_a_short_note_makes_a_short_text(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    variants = {"text_short": {"words": [1, 9]}, "tags": {"words": [30, 90], "style": "as tags"}}
    line = rewriting(server, sqlite_url, home, 1, variants=variants)
    long = " ".join(["Clip 1 runs", *["on"] * 77])
    put_clip(line, ("m", long), stage="rewrite")
    run_all(line, "rewrite")
    assert line.rows("SELECT clip_id, variant FROM rewrites") == [(1, "text_short"), (1, "tags")]
    assert line.rows(TEXTS)[0] == ("Clip 0 runs.", None, 0.0, None)
    (error,) = line.rows("SELECT error FROM clips WHERE status = 'failed'")[0]
    assert "tags has 3 words, not 30 to 90" in error


def test_clean_text_makes_a_variant_the_text(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.deeds = {1: ["rewrites adding"]}
    steps = [
        {"filter": "true", "where": "rewrite_drift <= 0.4"},
        {"stage": "clean_text", "rewritten": "text_dense"},
    ]
    line = rewriting(server, sqlite_url, home, 2, steps)
    put_clip(line, ("m", "Clip 2 runs."), ("table", "Clip 2 runs by hand."), stage="rewrite")
    run_all(line, "rewrite", "clean_text")
    found = line.rows("SELECT text, text_model, text_len, status, reason FROM clips ORDER BY id")
    assert found == [
        ("Clip 0 runs.", "w", 3, "kept", None),
        (None, None, None, "dropped", "true"),
        ("Clip 2 runs by hand.", "table", 5, "kept", None),
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model": ""}, "needs the server's name of a model"),
        ({"language": "englsh"}, "did you mean english?"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Rewrite.check(RewriteOptions(**{"model": "m"} | options))


@pytest.mark.parametrize(
    "variants",
    [{}, {"Short": {"words": [1, 2]}}, {"a": {"words": [3, 2]}}, {"a": {"words": [0, 2]}}],
)
def test_variants_that_cannot_be_meant_are_refused(variants: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RewriteOptions(model="m", variants=variants)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ([], "writes text_dnse; put stage rewrite before it"),
        ([{"stage": "rewrite", "model": "m"}], "did you mean text_dense?"),
    ],
)
def test_clean_text_refuses_a_variant_that_nobody_writes(
    monkeypatch: pytest.MonkeyPatch, before: list[dict[str, Any]], why: str
) -> None:
    monkeypatch.setitem(CATALOG, "rewrite", Rewrite)
    with pytest.raises(ConfigError, match=re.escape(why)):
        CleanText.check_before(CleanTextOptions(rewritten="text_dnse"), pipeline(*before))
