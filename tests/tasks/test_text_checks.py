"""The stage text_checks: what a clip's text, its prompt and its captions say about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pipelines import make_line
from tests.tasks.captioned import INSERT_CAPTION, put_clip
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")

COLUMNS = (
    "text_loop, text_unfinished, text_refusal, text_leak, text_filler, text_first_person,"
    " round(text_ttr, 2), text_agreement"
)


def test_clips_are_dropped_by_what_is_wrong_with_their_text(sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, ["clean_text", "text_checks", "sound: text_refusal = 0"])
    put_clip(line, ("one", "A brown dog runs."), ("two", "A brown dog sleeps."))
    clip = put_clip(line, ("one", "I cannot describe this, since I see no dog"))
    window = INSERT_CAPTION.replace("created_at)", "created_at, window_start_pts)")
    with line.engine.begin() as connection:
        connection.execute(
            text(window.replace("5)", "5, 0)")), {"clip": clip, "model": "two", "raw": "A dog."}
        )
    put_clip(line)
    run_all(line, "clean_text")
    run_all(line, "text_checks")
    assert line.rows(f"SELECT {COLUMNS}, status FROM clips ORDER BY id") == [
        (1, 0, 0, 0, 0, 0, 1.0, 2 / 3, "kept"),
        (1, 0, 1, 0, 0, 2, 0.89, None, "dropped"),
        (None,) * 8 + ("dropped",),
    ]


def test_a_prompt_in_the_text_is_that_of_the_model_whose_caption_it_is(
    sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, ["clean_text", "text_checks"])
    asked = "Say in one sentence what the dog does"
    clip = put_clip(line, ("one", f"{asked}: it runs."), ("two", "A dog runs."))
    for model, prompt in (("one", asked), ("two", "describe")):
        with line.engine.begin() as connection:
            named = {"p": prompt, "c": clip, "m": model}
            connection.execute(
                text("UPDATE captions SET prompt = :p WHERE clip_id = :c AND model = :m"), named
            )
    run_all(line, "clean_text")
    run_all(line, "text_checks")
    assert line.rows("SELECT text_model, text_leak FROM clips") == [("one", 1)]
