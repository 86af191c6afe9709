"""The stage clean_text, on both databases: what becomes of a clip's captions and of its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.configs.pipeline import parse
from curate.tasks.registry import stages
from curate.worker.session.pipelines import check
from tests.pipelines import Line, make_line, pipeline
from tests.tasks.captioned import CAPTIONS, INSERT_CAPTION, put_clip, put_input_columns, redo_stage
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")


def cleaning(url: str, home: Path, *after: Any, **options: Any) -> Line:
    return make_line(url, home, [{"stage": "clean_text", **options}, *after])


def test_a_caption_is_cleaned_and_stays_as_it_was_written(database_url: str, home: Path) -> None:
    line = cleaning(database_url, home)
    put_clip(line, ("pllava", "The video shows a “Dog” at http://x.y/z now"))
    numbers = line.rows("SELECT id, created_at, prompt, revision FROM captions")
    run_all(line, "clean_text")
    assert line.rows(CAPTIONS) == [
        ("pllava", "The video shows a “Dog” at http://x.y/z now", 'A "Dog" at now')
    ]
    found = line.rows("SELECT text, text_model, text_len, text_tokens, has_url, status FROM clips")
    assert found == [('A "Dog" at now', "pllava", 4, None, 1, "kept")]
    assert line.rows("SELECT id, created_at, prompt, revision FROM captions") == numbers


def test_the_text_of_the_input_is_kept_as_a_caption_and_always_cleaned_from_there(
    database_url: str, home: Path
) -> None:
    line = cleaning(database_url, home, clean="t5")
    put_clip(line)
    put_input_columns(line, text="Epsom Salt")
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("om salt", "input")]
    safe = pipeline({"stage": "clean_text", "clean": "safe"})
    redo_stage(line, "clean_text", safe)
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [("Epsom Salt",)]
    assert line.rows(CAPTIONS) == [("input", "Epsom Salt", "Epsom Salt")]


@pytest.mark.parametrize(
    ("source", "chosen"),
    [("first", "a dog runs"), ("last", "a cat"), ("longest", "a dog runs far away")],
)
def test_one_of_several_captions_is_chosen(
    sqlite_url: str, home: Path, source: str, chosen: str
) -> None:
    line = cleaning(sqlite_url, home, source=source)
    put_clip(
        line,
        ("input", "given"),
        ("one", "a dog runs"),
        ("two", "a dog runs far away"),
        ("three", "a cat"),
    )
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [(chosen,)]


@pytest.mark.parametrize("source", ["first", "longest"])
def test_what_a_model_wrote_anew_takes_the_place_of_its_older_caption(
    sqlite_url: str, home: Path, source: str
) -> None:
    """Else the text would stay as it is when `recaption` asks with another prompt."""
    line = cleaning(sqlite_url, home, source=source)
    clip = put_clip(line, ("one", "a dog runs far away"))
    with line.engine.begin() as connection:
        connection.execute(
            text(INSERT_CAPTION.replace("'describe'", "'What is there?'")),
            {"clip": clip, "model": "one", "raw": "a cat"},
        )
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [("a cat",)]
    assert len(line.rows(CAPTIONS)) == 2


def test_the_caption_of_the_best_match_is_chosen(database_url: str, home: Path) -> None:
    line = cleaning(database_url, home, source="match")
    put_clip(line, ("one", "a dog"), ("two", "a cat"), ("three", "a bird"))
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE captions SET match = 20 + id WHERE id < 3"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [("a cat",)]
    assert line.rows("SELECT match FROM captions ORDER BY id") == [(21.0,), (22.0,), (None,)]


def test_the_best_window_speaks_for_the_clip_until_another_matches_better(
    database_url: str, home: Path
) -> None:
    line = cleaning(database_url, home)
    put_clip(line, ("one", "A dog  runs."), ("one", "A dog sits."), ("two", "a cat"))
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE captions SET match = 20 + id, summary = 'best', window_start_pts = id,"
                " window_end_pts = id + 1 WHERE id < 3"
            )
        )
    whole = "SELECT id, text_raw, text, match, summary FROM captions WHERE window_start_pts IS NULL"
    run_all(line, "clean_text")
    two = (3, "a cat", "a cat", None, None)
    assert line.rows(f"{whole} ORDER BY id") == [
        two, (4, "A dog sits.", "A dog sits.", 22.0, "best"),
    ]  # fmt: skip
    assert line.rows("SELECT text FROM clips") == [("a cat",)]
    redo_stage(line, "clean_text")
    run_all(line, "clean_text")
    assert [row[0] for row in line.rows(f"{whole} ORDER BY id")] == [3, 4], "it stays"
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE captions SET match = 30 WHERE id = 1"))
    redo_stage(line, "clean_text")
    run_all(line, "clean_text")
    best = (5, "A dog  runs.", "A dog runs.", 30.0, "best")
    assert line.rows(f"{whole} ORDER BY id") == [two, best]
    assert line.rows("SELECT count(*) FROM captions") == [(4,)]


def test_the_best_window_needs_the_match_of_all() -> None:
    best = {"stage": "openai", "model": "m", "windows": {"seconds": 4, "summary": "best"}}
    before = [{"stage": "probe"}, {"stage": "split"}, {"stage": "clip_embed"}]
    for captioner in (best, {"stage": "multi_caption", "captioners": [best]}):
        line = [*before, captioner, {"stage": "match", "captions": "all"}, {"stage": "clean_text"}]
        check(parse(line, stages(), "test"), ready=False)
        del line[4]
        with pytest.raises(ConfigError, match="best of a clip's windows is known by their match"):
            check(parse(line, stages(), "test"), ready=False)


def test_a_caption_loaded_by_hand_goes_before_all_others(sqlite_url: str, home: Path) -> None:
    line = cleaning(sqlite_url, home, source="longest")
    put_clip(line, ("table", "mine"), ("table", "my own"), ("one", "a dog runs far away"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("my own", "table")]


@pytest.mark.parametrize("captions", [[], [("one", " \u200b ")], [("one", "The video shows")]])
def test_nothing_is_no_text(database_url: str, home: Path, captions: list[tuple[str, str]]) -> None:
    line = cleaning(database_url, home, "told: text_len > 0")
    put_clip(line, *captions)
    run_all(line, "clean_text")
    found = line.rows("SELECT text, text_model, text_len, has_url, status, reason FROM clips")
    assert found == [(None, None, 0, 0, "dropped", "told")]
    assert line.rows("SELECT text FROM captions") == [(None,)] * len(captions)


def test_what_is_asked_for_is_added_to_the_text_only(database_url: str, home: Path) -> None:
    options = {
        "scores": {"num_frames": "frames"},
        "scores_share": 1,
        "append": "High quality.",
        "camera_motion": "move",
    }
    line = cleaning(database_url, home, **options)
    put_clip(line, ("one", "a dog."))
    put_input_columns(line, move="pan_left")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 12"))
    run_all(line, "clean_text")
    expected = "a dog. Camera motion: pan left. [frames: 12.0] High quality."
    assert line.rows("SELECT text FROM clips") == [(expected,)]
    assert line.rows(CAPTIONS) == [("one", "a dog.", "a dog.")]


def test_nothing_is_added_to_a_text_by_hand(database_url: str, home: Path) -> None:
    """It may be one that was exported with what had been added, and mended."""
    options = {
        "scores": {"num_frames": "frames"},
        "scores_share": 1,
        "append": "Extra.",
        "camera_motion": "move",
    }
    line = cleaning(database_url, home, **options)
    put_clip(line, ("one", "a dog."), ("table", "A  cat. Extra."))
    put_input_columns(line, move="pan_left")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 12"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("A cat. Extra.", "table")]


def test_the_same_input_gets_the_same_scores_in_any_dataset(database_url: str, home: Path) -> None:
    options = {"stage": "clean_text", "scores": {"num_frames": "frames"}, "scores_share": 0.5}
    found = []
    for name, order in (("one", range(12)), ("two", reversed(range(12)))):
        line = make_line(database_url, home, [options], name)
        for video in order:
            line.put_clips(2, "clean_text", f"/v/{video}.mp4")
        put_input_columns(line, text="a dog")
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE clips SET num_frames = 12"))
        run_all(line, "clean_text")
        query = (
            "SELECT v.relpath, c.clip_index, c.text FROM clips c JOIN videos v ON v.id = c.video_id"
            " WHERE c.dataset_id = :d ORDER BY 1, 2"
        )
        found.append(line.rows(query, d=line.dataset.id))
    assert found[0] == found[1]
    assert {row[2] for row in found[0]} == {"a dog", "a dog [frames: 12.0]"}
    assert any(
        one[2] != other[2] for one, other in zip(found[0][::2], found[0][1::2], strict=True)
    ), "of each clip"


def test_tokens_are_counted_by_a_folder(sqlite_url: str, home: Path, tmp_path: Path) -> None:
    from curate.tasks.models.words import make_tokenizer

    make_tokenizer([]).save(str(tmp_path / "tokenizer.json"))
    line = cleaning(sqlite_url, home, tokenizer=str(tmp_path))
    put_clip(line, ("one", "a dog"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text_tokens FROM clips") == [(4 + 2,)]


def test_the_text_of_a_caption_in_fields_is_made_by_the_template(
    database_url: str, home: Path
) -> None:
    line = cleaning(database_url, home, template="{subject}, {action}", source="longest")
    put_clip(line, ("one", "The video shows it all"), ("two", "a b"), ("three", "as it was"))
    put = text("INSERT INTO caption_fields (caption_id, field, text) VALUES (:i, :f, :t)")
    with line.engine.begin() as connection:
        connection.execute(
            put,
            [
                {"i": 1, "f": "subject", "t": "The video shows a dog"},
                {"i": 1, "f": "action", "t": "which runs  far away"},
                {"i": 2, "f": "subject", "t": "a field alone"},
            ],
        )
    run_all(line, "clean_text")
    assert line.rows(CAPTIONS) == [
        ("one", "The video shows it all", "A dog, which runs far away"),
        ("two", "a b", "a b"),
        ("three", "as it was", "as it was"),
    ]
    assert line.rows("SELECT text, text_model FROM clips") == [
        ("A dog, which runs far away", "one")
    ]
    assert line.rows("SELECT count(*) FROM caption_fields") == [(3,)]


def test_a_template_names_fields_that_a_captioner_asks_for() -> None:
    steps = {"stage": "clean_text", "template": "{subject} {acton}"}
    asked = {"stage": "openai", "model": "m", "fields": ["subject", "action"]}
    catalog = stages()
    line = [{"stage": "probe"}, {"stage": "split"}]
    with pytest.raises(ConfigError, match="writes a field acton; did you mean action"):
        check(parse([*line, asked, steps], catalog, "test"), ready=False)
    with pytest.raises(ConfigError, match="field subject; give a captioner the option fields"):
        check(parse([*line, steps], catalog, "test"), ready=False)
    with pytest.raises(ConfigError, match=r"template: .* names no field"):
        parse([*line, steps | {"template": "subject"}], catalog, "test")
    check(parse([*line, asked, steps | {"template": "{action}"}], catalog, "test"), ready=False)
