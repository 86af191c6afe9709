"""The stages of texts, on both databases: what becomes of a clip's captions and of its text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.db import datasets, redo
from curate.db.datasets import Dataset
from curate.tasks.text_language import TextLanguage, TextLanguageOptions
from tests.pipelines import Found, Line, make_line, pipeline
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")

INSERT = (
    "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
    " VALUES (:clip, :model, 'r1', 'describe', :raw, 5)"
)
CAPTIONS = "SELECT model, text_raw, text FROM captions ORDER BY clip_id, id"


def given(line: Line, *captions: tuple[str, str], stage: str = "clean_text") -> int:
    """A clip that waits for the stage, with captions of these models; returns its id."""
    (clip,) = line.put_clips(1, stage, f"/v/{len(line.rows('SELECT id FROM videos'))}.mp4")
    with line.engine.begin() as connection:
        for model, raw in captions:
            connection.execute(text(INSERT), {"clip": clip, "model": model, "raw": raw})
    return clip


def set_input(line: Line, **columns: Any) -> None:
    """What the input table says about every video."""
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET extra = :e"), {"e": json.dumps(columns)})
        connection.execute(text("UPDATE clips SET text = :t"), {"t": columns.get("text")})


def again(line: Line, stage: str, changed: Any = None, then: Sequence[str] = ()) -> None:
    frozen = line.rows("SELECT pipeline FROM datasets")[0][0]
    dataset = Dataset(line.dataset.id, "set", "/v", frozen)
    redo.redo(line.engine, dataset, changed or line.pipeline, stage, then=then)


def cleaning(url: str, home: Path, *after: Any, **options: Any) -> Line:
    return make_line(url, home, [{"stage": "clean_text", **options}, *after])


def test_a_caption_is_cleaned_and_stays_as_it_was_written(database_url: str, home: Path) -> None:
    line = cleaning(database_url, home)
    given(line, ("pllava", "The video shows a “Dog” at http://x.y/z now"))
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
    given(line)
    set_input(line, text="Epsom Salt")
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("om salt", "input")]
    safe = pipeline({"stage": "clean_text", "clean": "safe"})
    again(line, "clean_text", safe)
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
    given(
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
    clip = given(line, ("one", "a dog runs far away"))
    with line.engine.begin() as connection:
        connection.execute(
            text(INSERT.replace("'describe'", "'What is there?'")),
            {"clip": clip, "model": "one", "raw": "a cat"},
        )
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [("a cat",)]
    assert len(line.rows(CAPTIONS)) == 2


def test_the_caption_of_the_best_match_is_chosen(database_url: str, home: Path) -> None:
    line = cleaning(database_url, home, source="match")
    given(line, ("one", "a dog"), ("two", "a cat"), ("three", "a bird"))
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE captions SET match = 20 + id WHERE id < 3"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text FROM clips") == [("a cat",)]
    assert line.rows("SELECT match FROM captions ORDER BY id") == [(21.0,), (22.0,), (None,)]


def test_a_caption_loaded_by_hand_goes_before_all_others(sqlite_url: str, home: Path) -> None:
    line = cleaning(sqlite_url, home, source="longest")
    given(line, ("table", "mine"), ("table", "my own"), ("one", "a dog runs far away"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("my own", "table")]


@pytest.mark.parametrize("captions", [[], [("one", " \u200b ")], [("one", "The video shows")]])
def test_nothing_is_no_text(database_url: str, home: Path, captions: list[tuple[str, str]]) -> None:
    line = cleaning(database_url, home, "told: text_len > 0")
    given(line, *captions)
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
    given(line, ("one", "a dog."))
    set_input(line, move="pan_left")
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
    given(line, ("one", "a dog."), ("table", "A  cat. Extra."))
    set_input(line, move="pan_left")
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
        set_input(line, text="a dog")
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
    from curate.tasks.models.words import tokenizer

    tokenizer([]).save(str(tmp_path / "tokenizer.json"))
    line = cleaning(sqlite_url, home, tokenizer=str(tmp_path))
    given(line, ("one", "a dog"))
    run_all(line, "clean_text")
    assert line.rows("SELECT text_tokens FROM clips") == [(4 + 2,)]


def test_a_text_in_another_language_is_dropped_by_its_rank(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, ["text_language", "english: text_lang_rank <= 5"])
    for words in (
        "A man in a red shirt walks down the street.",
        "Мужчина в красной рубашке идёт по улице.",
        "12 !",
    ):
        given(line, stage="text_language")
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE clips SET text = :t WHERE text IS NULL"), {"t": words})
    run_all(line, "text_language")
    found = line.rows("SELECT text_lang, text_lang_rank, status FROM clips ORDER BY id")
    assert found[0] == ("en", 1, "kept")
    assert found[1][0] == "ru"
    assert found[1][1] > 5
    assert found[2] == (None, None, "dropped")
    assert [f[2] for f in found] == ["kept", "dropped", "dropped"]


def test_a_language_that_is_not_known_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="none of af"):
        TextLanguage.check(TextLanguageOptions(language="english"))


def test_captions_lie_beside_the_media(database_url: str, home: Path, tmp_path: Path) -> None:
    line = make_line(database_url, home, [{"stage": "load_captions", "missing": "fail"}])
    folder = tmp_path / "v.1"
    folder.mkdir()
    (folder / "0.a.json").write_text('{"caption": "from json"}')
    (folder / "0.a.txt").write_text("from txt")
    (folder / "1.a.txt").write_text("from txt")
    (folder / "2.a.json").write_text("{}")
    for n in range(4):
        line.put_clips(1, "load_captions", f"/v/{n}.a.mp4")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE videos SET path = replace(path, '/v/', :f)"), {"f": f"{folder}/"}
        )
    run_all(line, "load_captions")
    found = line.rows("SELECT text, status, reason FROM clips ORDER BY id")
    assert found == [
        ("from json", "kept", None),
        ("from txt", "kept", None),
        (None, "failed", "BadSidecar"),
        (None, "failed", "NoSidecar"),
    ]
    assert line.rows(CAPTIONS) == [("file", "from json", None), ("file", "from txt", None)]


def test_without_a_file_nothing_is_changed_but_what_came_from_one(
    sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, ["load_captions"])
    given(line, ("file", "old"), ("one", "new"), stage="load_captions")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'new'"))
    run_all(line, "load_captions")
    assert line.rows(CAPTIONS) == [("one", "new", None)]
    assert line.rows("SELECT text, status FROM clips") == [("new", "kept")]


@pytest.mark.parametrize("told", ["The video shows a cat", None])
def test_when_its_file_is_gone_a_clip_has_the_text_of_the_input_again(
    database_url: str, home: Path, tmp_path: Path, told: str | None
) -> None:
    """And not what became of the text of the file."""
    line = make_line(
        database_url, home, ["load_captions", {"stage": "clean_text", "append": "Extra."}]
    )
    beside = tmp_path / "0.txt"
    beside.write_text("Side 1.")
    given(line, stage="load_captions")
    set_input(line, text=told)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET path = :p"), {"p": str(tmp_path / "0.mp4")})
    run_all(line, "load_captions", "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("Side 1. Extra.", "file")]
    beside.unlink()
    again(line, "load_captions")
    run_all(line, "load_captions")
    assert line.rows("SELECT text FROM clips") == [(told,)]
    again(line, "clean_text")
    run_all(line, "clean_text")
    expected = ("A cat Extra.", "input") if told else (None, None)
    assert line.rows("SELECT text, text_model FROM clips") == [expected]


def with_texts(line: Line, *texts: str | None) -> list[int]:
    """A clip for each text, each of a video of its own, that waits for text_duplicate."""
    ids = [given(line, stage="text_duplicate") for _ in texts]
    with line.engine.begin() as connection:
        for clip, words in zip(ids, texts, strict=True):
            connection.execute(
                text("UPDATE clips SET text = :t WHERE id = :i"), {"t": words, "i": clip}
            )
    return ids


TEXT_DUPLICATES = (
    "SELECT text_duplicate, text_duplicate_of, text_seq, status FROM clips ORDER BY id"
)
ONE_TEXT = ["text_duplicate", "new_text: text_duplicate = 0"]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_text_that_an_earlier_clip_has_is_a_duplicate(
    database_url: str, home: Path, batch: int
) -> None:
    line = make_line(
        database_url, home, [{"stage": "text_duplicate", "batch_size": batch}, ONE_TEXT[1]]
    )
    ids = with_texts(line, "a dog", "A dog", "a dog", None, None, "a dog")
    run_all(line, "text_duplicate")
    assert line.rows(TEXT_DUPLICATES) == [
        (0, None, 1, "kept"),
        (0, None, 2, "kept"),
        (1, ids[0], 3, "dropped"),
        (0, None, 4, "kept"),
        (0, None, 5, "kept"),
        (1, ids[0], 6, "dropped"),
    ]


def test_texts_can_be_compared_by_their_words(sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, [{"stage": "text_duplicate", "compare": "words"}])
    with_texts(line, "A dog, running.", "a DOG running", "!?", "...", "a dog ran")
    run_all(line, "text_duplicate")
    assert [row[0] for row in line.rows(TEXT_DUPLICATES)] == [0, 1, 0, 0, 0]


def test_when_the_first_of_equal_texts_is_gone_the_next_one_takes_its_place(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, ONE_TEXT)
    ids = with_texts(line, "a dog", "a dog", "a dog")
    run_all(line, "text_duplicate")
    assert [row[3] for row in line.rows(TEXT_DUPLICATES)] == ["kept", "dropped", "dropped"]
    datasets.enqueue(line.engine, line.dataset, [Found("/v/0.mp4", "changed")], line.pipeline)
    with line.engine.begin() as connection:  # the video that is split again gives nothing
        connection.execute(
            text("UPDATE videos SET stage = 'done', status = 'dropped' WHERE relpath = '0.mp4'")
        )
    assert [row[3] for row in line.rows(TEXT_DUPLICATES)] == ["active", "active"]
    run_all(line, "text_duplicate")
    assert [row[:2] for row in line.rows(TEXT_DUPLICATES)] == [(0, None), (1, ids[1])]
