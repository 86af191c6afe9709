"""The stage load_captions: captions from files beside the media, also when one is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pipelines import make_line
from tests.tasks.captioned import CAPTIONS, put_clip, put_input_columns, redo_stage
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")


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
    put_clip(line, ("file", "old"), ("one", "new"), stage="load_captions")
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
    put_clip(line, stage="load_captions")
    put_input_columns(line, text=told)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET path = :p"), {"p": str(tmp_path / "0.mp4")})
    run_all(line, "load_captions", "clean_text")
    assert line.rows("SELECT text, text_model FROM clips") == [("Side 1. Extra.", "file")]
    beside.unlink()
    redo_stage(line, "load_captions")
    run_all(line, "load_captions")
    assert line.rows("SELECT text FROM clips") == [(told,)]
    redo_stage(line, "clean_text")
    run_all(line, "clean_text")
    expected = ("A cat Extra.", "input") if told else (None, None)
    assert line.rows("SELECT text, text_model FROM clips") == [expected]
