"""export: which clips are written, in which order, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import update

from curate.db.schema import clips
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
