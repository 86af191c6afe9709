"""`curate export --to manifest` and `curate rebuild`, as a user calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.engine import writing
from curate.tasks.inputs.files import fingerprint_now
from tests.cli.conftest import Call, Filled
from tests.drawing import picture
from tests.media import write_video


@pytest.fixture
def cut_source(filled: Filled, tmp_path: Path) -> Path:
    """The source of the one clip that is kept."""
    path = write_video(tmp_path / "a.mp4", (picture(n, size=(64, 48)) for n in range(12)))
    values = {
        "path": str(path),
        "fingerprint": fingerprint_now(str(path)),
        "size": path.stat().st_size,
    }
    with writing(filled.engine) as connection:
        for statement in (
            "UPDATE clips SET status = 'dropped', reason = 'x' WHERE status = 'kept'"
            " AND id <> (SELECT min(id) FROM clips WHERE status = 'kept')",
            "UPDATE clips SET start_pts = 0, end_pts = 3072 WHERE status = 'kept'",
            "UPDATE videos SET path = :path, fingerprint = :fingerprint, size_bytes = :size,"
            " time_base_num = 1, time_base_den = 12288, media_type = 'video'"
            " WHERE id = (SELECT video_id FROM clips WHERE status = 'kept')",
        ):
            connection.execute(text(statement), values if ":path" in statement else {})
    return path


def test_a_manifest_is_rebuilt_and_what_cannot_be_is_named(
    curate: Call, cut_source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "manifest.parquet"
    counted = curate("export", "--to", "manifest", "-o", str(target), "-n", "--json")
    assert counted.json == [{"clips": 1}] and not target.exists()
    written = curate("export", "--to", "manifest", "-o", str(target))
    assert f"1 clip written to {target}" in written.err, written.err
    moved = tmp_path / "moved"
    moved.mkdir()
    cut_source.rename(moved / "z.mp4")
    words = ("rebuild", str(target), "--videos", str(moved), "-o", str(tmp_path / "out"))
    done = curate(*words, "--json")
    assert (done.code, done.json) == (0, []), done.err
    assert "1 clip of 1 in" in done.err and "frames proved" in done.err
    assert len(list((tmp_path / "out").rglob("*.mp4"))) == 1
    assert "1 of them there already" in curate(*words).err
    (moved / "z.mp4").unlink()
    missing = curate(*words[:-1], str(tmp_path / "new"), "--json")
    assert (missing.code, missing.json[0]["state"], missing.json[0]["clips"]) == (1, "missing", 1)
    assert "1 clip of 1 not rebuilt; their sources (1 source)" in missing.err
    write_video(moved / cut_source.name, (picture(50 + n) for n in range(12)))
    differs = curate(*words[:-1], str(tmp_path / "new"))
    assert differs.code == 1 and "is another file: its frames are others" in differs.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", "--to", "manifest"], "-o manifest.parquet"),
        (["export", "--to", "manifest", "-o", "m.csv"], "-o manifest.parquet"),
        (["export", "--to", "manifest", "-o", "m.parquet", "--files", "copy"], "holds no clips"),
        (["rebuild", "nothing.parquet", "--videos", ".", "-o", "out"], "is no file"),
    ],
)
def test_what_does_not_go_together_is_refused(
    curate: Call, cut_source: Path, words: list[str], says: str
) -> None:
    result = curate(*words)
    assert (result.code, says in result.err, result.out) == (2, True, ""), result.err


def test_clips_are_rebuilt_in_the_folder_where_the_command_is_given(
    curate: Call, cut_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "manifest.parquet"
    curate("export", "--to", "manifest", "-o", str(target))
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    done = curate("rebuild", str(target), "--videos", str(cut_source), "-o", ".")
    assert done.code == 0 and len(list((tmp_path / "out").rglob("*.mp4"))) == 1, done.err
