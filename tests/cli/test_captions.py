"""captions: loaded from a table and taken back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from curate.cli import captions as commands
from curate.db.engine import writing
from curate.tasks.inputs.files import fingerprint_now
from tests.cli.conftest import Call, Filled, give_pipeline
from tests.media import write_image


def test_captions_are_loaded_from_an_exported_table(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    table = tmp_path / "mended.csv"
    assert curate("export", "-o", str(table), "--where", "clip_index = 0").code == 0
    table.write_text(table.read_text().replace(",a,", ",A mended text,", 1) + "\n")
    result = curate("captions", "load", str(table), "pets")
    assert (result.code, result.out) == (0, "dataset pets: 1 caption loaded, 1 unchanged\n"), (
        result.err
    )
    assert "curate reclean pets" in result.err
    with captioned.engine.connect() as connection:
        found = connection.execute(
            text("SELECT model, text_raw FROM captions WHERE clip_id = 3 ORDER BY id")
        )
        assert [tuple(row) for row in found] == [
            ("m", "A dog runs here"),
            ("table", "A mended text"),
        ]
        assert (
            connection.execute(text("SELECT text FROM clips WHERE id = 3")).scalar()
            == "A mended text"
        )


def test_what_was_not_loaded_is_told(curate: Call, captioned: Filled, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,text\n/nowhere,a\n/c/b_scene-0.mp4,\n/c/a_scene-0.mp4,Mine\n")
    result = curate("captions", "load", str(table), "--json")
    assert result.json == {"dataset": "pets", "loaded": 1, "unchanged": 0, "empty": 1, "unknown": 1}
    assert ("1 row without a text" in result.err, "1 row about no clip" in result.err) == (
        True,
        True,
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("path,words\n/a,b\n", "no column text"),
        ('clip_id,text\n1,"a\n2,b\n', "line 2: a quote that opens in this row is not closed"),
        ("clip_id,text,text\n1,a,b\n", "line 1: column text is there twice"),
        ("clip_id,text\n1,a\nclip_id,text\n", "line 3 is the header once more"),
        ("path,text,clip_id\n/a,b,x\n", "line 2: clip_id is 'x', not a whole number"),
        ("clip_id,text\n1.5,b\n", "clip_id is '1.5', not a whole number"),
        ("clip_id,text\n1e300,b\n", "not a whole number"),
        ("clip_id,text\ninf,b\n", "not a whole number"),
        ("name,text\na,b\n", "no column clip_id or path"),
        ("clip_id,text\n,b\n", "line 2: path is None"),
    ],
)
def test_a_table_that_is_none_is_refused(
    curate: Call, captioned: Filled, tmp_path: Path, content: str, says: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(content)
    result = curate("captions", "load", str(table))
    assert (result.code, says in result.err, "curate config" in result.err) == (3, True, False), (
        result.err
    )


def test_rows_may_name_clips_by_their_numbers_alone(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    """Also as pandas writes them after a merge, in which other rows had none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tmp_path / "t.csv"
    table.write_text("clip_id,text\n1.0,One\n2,Two\n")
    assert curate("captions", "load", str(table), "--json").json["loaded"] == 2
    columns = {"clip_id": [3.0, None], "path": [None, "/c/b_scene-0.mp4"], "text": ["Three", "B"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert curate("captions", "load", str(tmp_path / "t.parquet"), "--json").json["loaded"] == 2
    with captioned.engine.connect() as connection:
        found = connection.execute(
            text("SELECT text FROM clips WHERE id < 4 ORDER BY id")
        ).scalars()
        assert list(found) == ["B", "Two", "Three"]


def test_what_was_loaded_can_be_taken_back(curate: Call, captioned: Filled, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("clip_id,text\n1,One\n2,Two\n")
    assert curate("captions", "load", str(table)).code == 0
    result = curate("recaption")
    assert (
        "2 clips have a text by hand, which stays; to take it back: curate captions drop pets"
        in result.err
    )
    assert "1 clip has a text by hand" in curate("recaption", "--where", "text = 'One'").err
    result = curate("captions", "drop", "--where", "text = 'One'")
    assert (result.code, result.out) == (0, "dataset pets: 1 caption dropped\n"), result.err
    assert "curate reclean pets" in result.err
    assert curate("captions", "drop", "pets", "--json").json == {"dataset": "pets", "dropped": 1}
    result = curate("captions", "drop")
    assert (result.out, result.err) == ("dataset pets: 0 captions dropped\n", "")
    assert "by hand" not in curate("recaption").err
    assert curate("captions", "drop", "--where", "txt = 'One'").code == 3


def test_a_table_that_is_not_there_is_told(curate: Call, captioned: Filled, tmp_path: Path) -> None:
    (tmp_path / "mended.csv").write_text("clip_id,text\n1,One\n")
    result = curate("captions", "load", str(tmp_path / "mendde.csv"))
    assert (result.code, "did you mean mended.csv?" in result.err) == (2, True), result.err
    result = curate("captions", "load", "nosuch.csv")
    assert (result.code, "no file or folder nosuch.csv" in result.err) == (2, True), result.err


def test_a_table_behind_the_dataset_is_told(curate: Call, captioned: Filled) -> None:
    said = curate("captions", "load", "pets", "mended.csv").err
    assert "the table comes before the dataset: curate" in said
    assert said.rstrip().endswith("captions load mended.csv pets")


def put_captions(captioned: Filled) -> None:
    """Captions of every clip by another captioner."""
    with captioned.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO captions"
                " (clip_id, model, revision, prompt, text_raw, match, created_at)"
                " SELECT id, 'other', '', 'p', 'A dog runs' || CASE WHEN id = 2 THEN '' ELSE"
                " ' here' END, 25.0, 2 FROM clips"
            )
        )


def test_two_captioners_are_compared(curate: Call, captioned: Filled) -> None:
    put_captions(captioned)
    result = curate("captions", "compare", "m", "other", "pets", "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["clips"], found["of_a"], found["of_b"]) == (
        7,
        {"words": 4.0, "match": None},
        {"words": (6 * 4 + 3) / 7, "match": 25.0},
    )
    least = found["least_alike"]
    assert (len(least), least[0]["clip"], least[0]["agreement"]) == (5, 2, pytest.approx(4 / 5))
    shown = curate("captions", "compare", "m", "other", "--where", "id = 2")
    assert "1 clip with captions by m and other" in shown.out
    assert "clip 2: 0.800\n  m: A dog runs here\n  other: A dog runs\n" in shown.out


def test_an_unknown_captioner_is_refused_with_those_that_there_are(
    curate: Call, captioned: Filled
) -> None:
    result = curate("captions", "compare", "m", "n")
    assert (result.code, "captioners: m" in result.err) == (2, True)
    result = curate("captions", "compare", "m", "m")
    assert (result.code, "m twice; name two captioners of pets: m" in result.err) == (2, True)


def test_captions_and_voters_command_no_terminal(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    put_captions(captioned)
    with captioned.engine.begin() as connection:
        connection.execute(text("UPDATE captions SET text_raw = 'A\x1b[2Jdog', text = NULL"))
    assert "m: A\\x1b[2Jdog" in curate("captions", "compare", "m", "other").out
    votes = tmp_path / "votes.json"
    votes.write_text(json.dumps({"voter": "Ann\x1b[2J", "votes": []}))
    assert "0 votes by Ann\\x1b[2J" in curate("captions", "vote", str(votes)).out


def test_a_page_that_cannot_be_written_is_told(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    put_captions(captioned)
    (tmp_path / "file").touch()
    result = curate("captions", "compare", "m", "other", "--sheet", str(tmp_path / "file" / "x"))
    assert (result.code, "unexpected" in result.err, "The file" in result.err) == (4, False, True)


def test_the_page_hides_who_wrote_what_and_its_votes_are_summed(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    put_captions(captioned)
    page = tmp_path / "votes.html"
    written = curate("captions", "compare", "m", "other", "--sheet", str(page), "--limit", "3")
    assert (written.code, "3 pairs" in written.err) == (0, True), written.err
    html = page.read_text()
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    data = json.loads(found)
    assert set(data["pairs"][0]) == {"clip", "left", "right", "texts", "pictures"}
    chosen = [
        {name: pair[name] for name in ("clip", "left", "right")} | {"choice": "left"}
        for pair in data["pairs"]
    ]
    chosen.append({"clip": 1, "left": 998, "right": 999, "choice": "equal"})
    votes = tmp_path / "votes.json"
    votes.write_text(json.dumps({"dataset": "pets", "voter": " Ann ", "votes": chosen}))
    result = curate("captions", "vote", str(votes), "--json")
    assert (result.code, result.json["voter"], result.json["saved"]) == (0, "Ann", 3), result.err
    assert "1 vote on captions that are gone" in result.err
    (sums,) = result.json["sums"]
    assert (sums["a"], sums["b"], sums["for_a"] + sums["for_b"]) == ("m", "other", 3)
    assert "votes" in curate("captions", "compare", "m", "other").out


def test_requests_and_answers_of_a_batch_api(
    curate: Call, captioned: Filled, tmp_path: Path
) -> None:
    """What the commands say of it; worker/test_batch_files.py has the rest."""
    wait_for_server(captioned, tmp_path)
    file = tmp_path / "requests.jsonl"
    written = curate("captions", "export-requests", "-o", str(file), "--limit", "1", "--json")
    assert (written.code, written.json["requests"], written.json["waiting"]) == (0, 1, 1)
    assert "curate set openai.offline=true pets" in written.err
    (request,) = map(json.loads, file.read_text().splitlines())
    body = {"choices": [{"message": {"content": "A cat."}}], "usage": {"prompt_tokens": 9}}
    answer = {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}}
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps(answer) + "\n" + json.dumps({**answer, "custom_id": "x"}))
    loaded = curate("captions", "load-responses", str(answers))
    assert loaded.out == "dataset pets: 1 caption loaded, 0 failed, 0 not waiting\n"
    assert "1 answer to requests that are not curate's" in loaded.err
    assert "0 captions loaded" in curate("captions", "load-responses", str(answers)).out
    assert "openai: 1 answer, 9 tokens read, 0 written" in curate("status").out


def test_a_line_of_any_length_is_not_read_whole(
    curate: Call, captioned: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_server(captioned, tmp_path)
    monkeypatch.setattr(commands, "LONGEST_LINE", 100)
    answers = tmp_path / "answers.jsonl"
    line = json.dumps({"custom_id": "x", "response": {"body": {}}})
    answers.write_text(f"{line}\n{line[:-1]}{' ' * 100}}}\n", encoding="utf-8-sig")
    result = curate("captions", "load-responses", str(answers))
    assert (result.code, "line 2 is no answer" in result.err) == (3, True), result.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["load-responses", "/nowhere.jsonl"], 2, "no file or folder /nowhere.jsonl"),
        (["load-responses", "/"], 3, "The table / cannot be used: Is a directory"),
        (
            ["export-requests", "-o", "/dev/null/r", "--stage", "split"],
            2,
            "split exports no requests",
        ),
        (["export-requests", "-o", "/dev/null/r"], 4, "The file /dev/null/r"),
        (["export-requests", "--where", "nothing > 3"], 3, "nothing"),
    ],
)
def test_what_is_no_batch_file_is_told(
    curate: Call, captioned: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("captions", *words)
    assert (result.code, says in result.err) == (code, True), result.err


def wait_for_server(captioned: Filled, folder: Path) -> None:
    """Clips 1 and 2, of two pictures, wait for the stage openai."""
    with writing(captioned.engine) as connection:
        for video in (1, 2):
            path = write_image(folder / f"{video}.png", np.zeros((32, 48, 3), np.uint8))
            place = {"p": str(path), "f": fingerprint_now(str(path)), "v": video}
            connection.execute(
                text("UPDATE videos SET path = :p, fingerprint = :f WHERE id = :v"), place
            )
        connection.execute(
            text("UPDATE clips SET stage = 'openai', status = 'active' WHERE id < 3")
        )


def test_texts_by_a_rewriter_are_written_anew_after_a_drop(
    curate: Call, filled: Filled, tmp_path: Path
) -> None:
    rewriter = {"stage": "rewrite", "model": "m"}
    clean = {"stage": "clean_text", "rewritten": "text_dense"}
    give_pipeline(filled, ["probe", "split", {"stage": "openai", "model": "m"}, rewriter, clean])
    table = tmp_path / "t.csv"
    table.write_text("clip_id,text\n1,One\n")
    loaded = curate("captions", "load", str(table)).err  # a text by hand goes before
    assert ("redo rewrite" in loaded, "Next: curate reclean pets\n" in loaded) == (False, True)
    dropped = curate("captions", "drop").err
    assert "Next: curate redo rewrite pets\n  or: curate reclean pets\n" in dropped
