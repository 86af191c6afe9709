"""Sources that are gone are told by enqueue, errors and retry; what was found in them stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.settings import load_settings
from curate.db.datasets import pick
from curate.db.engine import make_engine, writing
from curate.worker.session.gone import gone_text
from tests.cli.conftest import Call, Filled


@pytest.fixture
def folder(curate: Call, tmp_path: Path) -> Path:
    """Three videos, enqueued as the dataset `v`."""
    made = tmp_path / "v"
    made.mkdir()
    for name in ("a.mp4", "b.mp4", "c%.mp4"):
        (made / name).write_bytes(b"12345")
    assert curate("enqueue", str(made)).code == 0
    return made


def run_sql(*statements: str) -> None:
    engine = make_engine(load_settings().database)
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_count_of_none_is_not_said() -> None:
    assert (gone_text(0), gone_text(2)) == ("", ", 2 gone")


@pytest.mark.parametrize("dry", [(), ("-n",)])
def test_enqueue_says_how_many_of_a_folder_are_gone(
    curate: Call, folder: Path, dry: tuple[str, ...]
) -> None:
    (folder / "c%.mp4").unlink()
    (folder / "new.mp4").write_bytes(b"1")
    result = curate("enqueue", str(folder), *dry)
    assert "found 3: 1 new, 0 changed, 2 unchanged, 1 gone" in result.out
    assert curate("enqueue", str(folder), "-n", "--json").json["gone"] == 1


def test_nothing_is_gone_where_all_are_found(curate: Call, folder: Path) -> None:
    assert "gone" not in curate("enqueue", str(folder)).out


def test_enqueue_of_another_folder_says_nothing_of_this_one(
    curate: Call, folder: Path, tmp_path: Path
) -> None:
    (folder / "a.mp4").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "d.mp4").write_bytes(b"1")
    assert "gone" not in curate("enqueue", str(other), "--name", "v").out


@pytest.mark.parametrize("by", ["table", "broken link"])
def test_clips_of_a_file_that_is_gone_stay(
    curate: Call, folder: Path, tmp_path: Path, by: str
) -> None:
    run_sql(
        "UPDATE videos SET stage = 'done', status = 'kept'",
        "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage, status)"
        " SELECT dataset_id, id, 0, 0, 1, 'done', 'kept' FROM videos",
    )
    gone = folder / "a.mp4"
    gone.unlink()
    source = folder
    if by == "table":
        source = tmp_path / "t.csv"
        source.write_text(f"path\n{gone}\n{folder / 'b.mp4'}\n")
    else:
        gone.symlink_to("nowhere")
    out = curate("enqueue", str(source), "--name", "v").out
    assert "0 changed" in out and out.splitlines()[0].endswith("1 gone")
    engine = make_engine(load_settings().database)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM clips")).scalar_one() == 3
    assert pick(engine, "v").name == "v"


def test_errors_and_retry_say_how_many_sources_are_gone(curate: Call, folder: Path) -> None:
    run_sql("UPDATE videos SET status = 'failed', reason = 'Unreadable', error = 'no such file'")
    (folder / "a.mp4").unlink()
    (folder / "c%.mp4").unlink()
    assert "3 x Unreadable in probe, 2 gone   e.g. video 1" in curate("errors").out
    assert [f["gone"] for f in curate("errors", "--json").json] == [2]
    assert curate("retry", "--error", "EmptyFile").out == "dataset v: 0 rows to try again\n"
    assert curate("retry").out == "dataset v: 3 rows to try again, 2 gone\n"


def test_other_errors_say_nothing_of_it(curate: Call, filled: Filled) -> None:
    assert "gone" not in curate("errors").out
