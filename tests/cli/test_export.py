"""export: which clips are written, in which order, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import text, update

from curate.configs.schema import Column
from curate.db import datasets
from curate.db.engine import writing
from curate.db.schema import clips
from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Call, Filled


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_export_writes_kept_clips_video_by_video(
    curate: Call, filled: Filled, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "clips.csv"
    result = curate("export", "-o", str(target))
    found = rows(target.read_text())
    assert [r["path"] for r in found] == ["/c/a_scene-0.mp4", "/v/a.mp4", "/c/b_scene-0.mp4"]
    assert f"3 clips written to {target}" in result.err
    assert "2 rows are not through yet" in result.err
    assert result.out == ""


def test_export_without_a_file_goes_to_stdout(curate: Call, filled: Filled) -> None:
    found = rows(
        curate("export", "pets", "--columns", "clip_id, path", "--where", "text = 'a cat'").out
    )
    assert [r["clip_id"] for r in found] == ["3", "2"]


def test_a_dash_for_a_file_is_stdout(curate: Call, filled: Filled) -> None:
    result = curate("export", "pets", "-o", "-")
    assert result.out == curate("export", "pets").out
    assert "written" not in result.err


def test_export_of_all_statuses_says_which(curate: Call, filled: Filled) -> None:
    found = rows(curate("export", "--status", "all").out)
    assert sorted(r["status"] for r in found) == [
        "active",
        "active",
        "dropped",
        "failed",
        "kept",
        "kept",
        "kept",
    ]
    ended = rows(curate("export", "--status", "dropped", "--status", "failed").out)
    assert [r["reason"] for r in ended] == ["unique", "CutMismatch"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--columns", "path,flw"], 2, "did you mean flow"),
        (["--sort", "flow down"], 2, "--sort"),
        (["--where", "flow > (SELECT 1)"], 3, "--where"),
        (["--status", "lost"], 2, "kept, dropped, failed, active, all"),
        (["--columns", "owner"], 2, "owner"),
        (["--missing", "lose"], 2, "drop, keep, fail"),
    ],
)
def test_export_refuses(
    curate: Call, filled: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("export", *words)
    assert (result.code, says in result.err, result.out) == (code, True, ""), result.err


def test_safe_cells_are_asked_for(curate: Call, filled: Filled, tmp_path: Path) -> None:
    with filled.engine.begin() as connection:
        connection.execute(update(clips).where(clips.c.text == "a cat").values(text="=1+1"))
    words = ["export", "--columns", "text", "--where", "text LIKE '%=%'"]
    assert {r["text"] for r in rows(curate(*words).out)} == {"=1+1"}
    assert {r["text"] for r in rows(curate(*words, "--safe-cells").out)} == {"'=1+1"}
    refused = curate(*words, "--safe-cells", "-o", str(tmp_path / "x.parquet"))
    assert (refused.code, "--safe-cells is for CSV" in refused.err) == (2, True)


@pytest.fixture
def cut(filled: Filled, tmp_path: Path) -> list[str]:
    """The files of the three kept clips, of which the first was not cut: a.mp4 is its source."""
    paths = [str(tmp_path / name) for name in ("a.mp4", "a_scene-0.mp4", "b_scene-0.mp4")]
    datasets.add_columns(filled.engine, {"file_size": Column("int", "bytes")})
    with writing(filled.engine) as connection:
        connection.execute(text("UPDATE videos SET path = :p, size_bytes = 5 WHERE id = 1"),
                           {"p": paths[0]})  # fmt: skip
        for path in paths[1:]:
            name = f"/c/{Path(path).name}"
            changed = text("UPDATE clips SET path = :p, file_size = 5 WHERE path = :n")
            connection.execute(changed, {"p": path, "n": name})
    for path in paths:
        Path(path).write_bytes(b"12345")
    return paths


def test_clips_whose_files_are_as_they_were_written_are_exported_without_a_word(
    curate: Call, cut: list[str]
) -> None:
    result = curate("export")
    assert [r["path"] for r in rows(result.out)] == [cut[1], cut[0], cut[2]]
    assert "left out" not in result.err


@pytest.mark.parametrize("amiss", ["missing", "shorter"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_clip_whose_file_is_amiss_is_left_out_and_counted(
    curate: Call, cut: list[str], amiss: str, number: int
) -> None:
    path = Path(cut[number])
    path.unlink() if amiss == "missing" else path.write_bytes(b"1234")
    result = curate("export")
    assert sorted(r["path"] for r in rows(result.out)) == sorted({*cut} - {str(path)})
    counts = (1, 0) if amiss == "missing" else (0, 1)
    said = "1 clip left out: {} without a file, {} with one of another size, e.g. {}"
    assert said.format(*counts, path) in result.err
    assert "curate verify pets --repair" in result.err
    assert result.code == 0


def test_keep_writes_such_clips_and_says_so(curate: Call, cut: list[str]) -> None:
    Path(cut[1]).unlink()
    result = curate("export", "--missing", "keep")
    assert len(rows(result.out)) == 3
    assert "1 clip written: 1 without a file" in result.err


def test_fail_writes_nothing_and_leaves_the_older_file(
    curate: Call, cut: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "clips.csv"
    assert curate("export", "-o", str(target), "--missing", "fail").code == 0
    before = target.read_text()
    Path(cut[1]).unlink()
    Path(cut[2]).write_bytes(b"")
    result = curate("export", "-o", str(target), "--missing", "fail")
    assert (result.code, target.read_text()) == (1, before)
    assert "1 are missing and 1 have another size" in result.err
    assert [p.name for p in tmp_path.glob(".clips.csv*")] == []


def test_without_their_path_clips_are_exported_wherever_their_files_are(
    curate: Call, cut: list[str]
) -> None:
    Path(cut[1]).unlink()
    result = curate("export", "--columns", "clip_id,text")
    assert len(rows(result.out)) == 3 and "left out" not in result.err


def test_clips_at_urls_are_counted_as_not_looked_at(
    curate: Call, cut: list[str], filled: Filled
) -> None:
    with writing(filled.engine) as connection:
        moved = text("UPDATE clips SET path = 'memory://bucket/x.mp4' WHERE path = :p")
        connection.execute(moved, {"p": cut[1]})
    result = curate("export")
    assert len(rows(result.out)) == 3
    assert "1 clip at URLs" in result.err and "--check-urls" in result.err
    asked = curate("export", "--check-urls")
    assert len(rows(asked.out)) == 2
    assert "1 clip left out: 1 without a file" in asked.err


def test_columns_and_sort_given_twice_add_up(curate: Call, filled: Filled) -> None:
    words = ("--columns", "path,fps", "--columns", "clip_id", "--sort", "text", "--sort", "path")
    done = curate("export", "pets", *words)
    assert done.out.splitlines()[0] == "path,fps,clip_id", done.err
    same = ("--columns", "path,fps,clip_id", "--sort", "text,path")
    assert curate("export", "pets", *same).out == done.out
    assert curate("export", "--columns", "path", "--columns", "path").code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "webdatset"], "did you mean webdataset"),
        (["--to", "sidecar"], "-o FOLDER"),
        (["--to", "sidecar", "-o", "-"], "-o FOLDER"),
        (["--to", "sidecar", "-o", "s3://bucket/x"], "written to a folder"),
        (["--to", "sidecar", "-o", "x", "--columns", "fps"], "no place for --columns"),
        (["--to", "sidecar", "-o", "x", "--files", "none"], "it takes link, copy"),
        (["--to", "webdataset", "-o", "x", "--files", "copy"], "shards hold the clips"),
        (["--to", "webdataset", "-o", "x", "--missing", "keep"], "take drop or fail"),
        (["--to", "jsonl", "--files", "copy"], "--files is about folders"),
        (["--to", "jsonl", "--safe-cells"], "--safe-cells is for CSV"),
        (["--split", "train=2"], "add up to 1"),
        (["--shard-bytes", "much"], "500M or 1G"),
        (["pets", "nobody"], "nobody"),
    ],
)
def test_export_refuses_what_does_not_go_together(
    curate: Call, filled: Filled, words: list[str], says: str
) -> None:
    result = curate("export", *words)
    assert (result.code, says in result.err, result.out) == (2, True, ""), result.err


def test_rows_go_to_stdout_as_json_lines_too(curate: Call, filled: Filled) -> None:
    result = curate("export", "--to", "jsonl", "-o", "-", "--columns", "clip_id,text")
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {"clip_id": 3, "text": "a cat"},
        {"clip_id": 2, "text": "a cat"},
        {"clip_id": 1, "text": None},
    ]


def test_a_folder_says_what_it_holds_and_what_it_could_not(
    curate: Call, cut: list[str], tmp_path: Path
) -> None:
    words = ("export", "--to", "sidecar", "-o", str(tmp_path / "out"))
    counted = curate(*words, "-n", "--json")
    assert counted.json == [{"clips": 1, "bytes": 5}] and not (tmp_path / "out").exists()
    result = curate(*words)
    assert f"1 clip (5 bytes) written to {tmp_path / 'out'}" in result.err
    assert "1 clip left out: they have no caption" in result.err
    assert "1 clip left out: they have no file of their own" in result.err
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == [
        "000000003.mp4", "000000003.txt",
    ]  # fmt: skip
    assert "already whole in" in curate(*words).err
    refused = curate(*words, "--where", "clip_id > 1")
    assert (refused.code, "another folder" in refused.err) == (2, True)


def test_a_table_is_counted_by_its_files(curate: Call, cut: list[str]) -> None:
    Path(cut[1]).unlink()
    result = curate("export", "-n", "--json", "--columns", "text")
    assert result.json == [{"clips": 2, "bytes": 10}] and "1 without a file" in result.err


def test_sides_are_folders_and_a_column_and_stay(
    curate: Call, cut: list[str], filled: Filled, tmp_path: Path
) -> None:
    words = ("--split", "train=0.5,val=0.5")
    counted = curate("export", *words, "-n")
    assert "side train: " in counted.err
    table = rows(curate("export", *words, "--columns", "clip_id").out)
    sides = {row["clip_id"]: row["side"] for row in table}
    assert sides["2"] == sides["3"] and set(sides.values()) <= {"train", "val"}
    curate("export", "--to", "webdataset", "-o", str(tmp_path / "out"), *words)
    for clip in ("3", "1"):
        folder = tmp_path / "out" / sides[clip]
        with tarfile.open(folder / "000000.tar") as shard:
            assert f"{int(clip):09d}.mp4" in shard.getnames()
        assert not (folder / ".curate").exists()
    refused = curate("export", "--split", "all=1")
    assert (refused.code, "--resplit" in refused.err) == (2, True)
    anew = curate("export", "--split", "all=1", "--resplit", "--columns", "clip_id")
    assert {row["side"] for row in rows(anew.out)} == {"all"}


def test_two_datasets_are_one_export(curate: Call, filled: Filled) -> None:
    datasets.create(filled.engine, "cars", "/w", resolve(None, ready=False).pipeline)
    with writing(filled.engine) as connection:
        for statement in (
            "INSERT INTO videos (dataset_id, path, relpath, clip_stem, fingerprint, stage, status)"
            " VALUES (2, '/w/x.mp4', 'x.mp4', 'x', '1', 'done', 'kept')",
            "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage,"
            " status) SELECT 2, max(id), 0, 0, 1, 'done', 'kept' FROM videos",
        ):
            connection.execute(text(statement))
    found = rows(curate("export", "cars", "pets", "--columns", "dataset,clip_id").out)
    assert [r["dataset"] for r in found] == ["cars", "pets", "pets", "pets"]
    assert curate("export", "pets", "--columns", "dataset").code == 2
