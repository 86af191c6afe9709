"""prune: what nobody needs is found, and removed with --yes; sources never are."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.settings import load_settings
from curate.db.datasets import write_pipeline
from curate.worker.session.folders import claim_folder
from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Call
from tests.cli.own_files import SIZE, Owned, make_owned


@pytest.fixture
def owned(home: Path, tmp_path: Path) -> Owned:
    return make_owned(home, tmp_path / "videos")


def found(curate: Call, *words: str) -> dict[str, tuple[int, int]]:
    """Files and bytes of each kind that there is."""
    rows = curate("prune", *words, "--json").json["found"]
    return {row["what"]: (row["files"], row["bytes"]) for row in rows if row["files"]}


def drop(owned: Owned, clip: int) -> None:
    """Let the filter unique, which stands before cut, drop a clip."""
    with owned.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET duplicate = 1, status = 'dropped', reason = 'unique' "
                 "WHERE id = :id"),
            {"id": clip},
        )  # fmt: skip


def test_nothing_is_found_where_all_is_needed(curate: Call, owned: Owned) -> None:
    assert found(curate) == {}
    assert "0 files (0 bytes) could be removed" in curate("prune", "pets").out


def test_files_of_dropped_clips_go_and_a_revived_clip_is_cut_again(
    curate: Call, owned: Owned
) -> None:
    drop(owned, 1)
    before = owned.files()
    assert found(curate) == {"dropped": (1, SIZE)}
    assert owned.files() == before
    done = curate("prune", "--yes")
    assert (done.code, "1 file (100 bytes) removed" in done.out) == (0, True), done.err
    assert owned.files() == [n for n in before if n != "clips/pets/a_scene-0.mp4"]
    assert owned.rows("SELECT stage, status, return_to, path FROM clips WHERE id = 1") == [
        ("cut", "dropped", "done", None)
    ]
    assert found(curate) == {}
    assert curate("refilter", "pets", "--set", "unique.enabled=false").code == 0
    assert owned.rows("SELECT stage, status FROM clips WHERE id = 1") == [("cut", "active")]


def test_files_of_dropped_clips_stay_where_they_could_not_be_cut_again(
    curate: Call, owned: Owned
) -> None:
    pipeline = resolve(None, ["cut.target_fps=8"], ready=False).pipeline
    with owned.engine.begin() as connection:
        write_pipeline(connection, owned.dataset, pipeline)
    drop(owned, 1)
    assert found(curate, "--yes") == {}
    assert "by target_fps" in curate("prune").err
    assert len(owned.files()) == 9


def test_a_file_that_was_given_up_by_a_prune_that_was_killed_is_a_leftover(
    curate: Call, owned: Owned
) -> None:
    drop(owned, 1)
    with owned.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET path = NULL, stage = 'cut' WHERE id = 1"))
    assert found(curate, "--yes") == {"leftovers": (1, SIZE)}
    assert not (owned.clips / "a_scene-0.mp4").exists()


def test_leftovers_are_files_that_no_row_names(curate: Call, owned: Owned) -> None:
    names = {
        "a_scene-2.mp4": True,  # of a source that was replaced by a shorter one
        ".00000000-00000000-1-1-00000000.part": False,  # of a worker of another host
        "a_scene-x.mp4": False, "notes.txt": False, "d_scene-0.mp4": False,
    }  # fmt: skip
    for name in names:
        (owned.clips / name).write_bytes(bytes(SIZE))
    assert found(curate, "--yes") == {"leftovers": (1, SIZE)}
    assert [name for name in names if not (owned.clips / name).exists()] == ["a_scene-2.mp4"]


def test_samples_of_no_video_go(curate: Call, owned: Owned) -> None:
    samples = owned.home / "samples"
    for name in ("0/77.zip", "0/77.txt", "1/1077.zip"):
        (samples / name).parent.mkdir(exist_ok=True)
        (samples / name).write_bytes(bytes(SIZE))
    with owned.engine.begin() as connection:
        connection.execute(text("DELETE FROM clips WHERE video_id = 3"))
    assert found(curate, "pets") == {"samples": (1, SIZE), "leftovers": (2, 2 * SIZE)}
    assert found(curate, "--yes")["samples"] == (3, 3 * SIZE)
    left = [name for name in owned.files() if name.startswith("samples")]
    assert left == ["samples/0/1.zip", "samples/0/2.zip", "samples/0/77.txt"]


def test_videos_whose_source_is_gone_go_if_that_is_asked_for(curate: Call, owned: Owned) -> None:
    (owned.sources / "b.mp4").unlink()
    assert "curate prune pets --gone" in curate("enqueue", str(owned.sources)).out
    assert found(curate) == {}
    shown = curate("prune", "pets", "--gone")
    assert f"{owned.sources}/b.mp4" in shown.out
    assert "curate prune pets --gone --yes" in shown.err
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]
    assert found(curate, "pets", "--gone", "--yes") == {"gone": (3, 3 * SIZE)}
    assert owned.rows("SELECT count(*) FROM videos") == [(2,)]
    assert owned.rows("SELECT count(*) FROM clips") == [(4,)]
    assert len([name for name in owned.files() if name.startswith("clips")]) == 4


@pytest.mark.parametrize("mount_point", [True, False])
def test_nothing_goes_where_the_disk_of_the_sources_may_not_be_mounted(
    curate: Call, owned: Owned, mount_point: bool
) -> None:
    owned.sources.rename(owned.sources.with_name("away"))
    if mount_point:
        owned.sources.mkdir()
    done = curate("prune", "pets", "--gone", "--yes")
    assert (done.code, "curate datasets delete pets" in done.err) == (2, True), done.err
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]
    assert len(owned.files()) == 9


def test_of_two_disks_the_one_that_is_not_mounted_has_nothing_gone(
    curate: Call, owned: Owned, tmp_path: Path
) -> None:
    for video, path in {1: "disk/a.mp4", 2: "media/b.mp4", 3: "c.mp4"}.items():
        move_source(owned, video, str(owned.sources / path))
        with owned.engine.begin() as connection:
            values = {"id": video, "path": path}
            connection.execute(text("UPDATE videos SET relpath = :path WHERE id = :id"), values)
    (owned.sources / "disk").mkdir()  # a mount point, empty
    done = curate("prune", "pets", "--gone", "--yes", "--json")
    assert done.json["found"][-1]["videos"] == 1
    assert owned.rows("SELECT id FROM videos") == [(1,), (3,)]
    assert "1 source of pets that may be on a disk" in done.err and "/disk/a.mp4" in done.err
    states = {p["id"]: p["problem"] for p in curate("verify", "--quick", "--json").json["problems"]}
    assert states == {1: "unreachable"}
    (owned.sources / "disk/b.mp4").touch()
    assert curate("prune", "pets", "--gone", "--yes").code == 0
    assert owned.rows("SELECT id FROM videos") == [(3,)]


def test_what_goes_with_its_source_is_counted_once(curate: Call, owned: Owned) -> None:
    (owned.sources / "b.mp4").unlink()
    (owned.clips / "b_scene-7.mp4").write_bytes(bytes(SIZE))
    with owned.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET path = NULL, status = 'dropped', stage = 'cut' "
                                "WHERE video_id = 2 AND clip_index = 0"))  # fmt: skip
        connection.execute(text("DELETE FROM clips WHERE video_id = 2 AND clip_index = 1"))
    shown = found(curate, "pets", "--gone")
    assert shown == {"gone": (2, 2 * SIZE)}, "its clip and its samples"
    assert shown["gone"] == found(curate, "pets", "--gone", "--yes")["gone"]


def test_a_folder_of_another_home_is_left_alone(
    curate: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned = make_owned(home, tmp_path / "videos")
    monkeypatch.setenv("CURATE_MEDIA", str(tmp_path / "shared"))
    theirs = load_settings(home=tmp_path / "theirs")
    claim_folder(theirs, replace(owned.dataset, created_at=1.0))
    (tmp_path / "shared/pets/a_scene-9.mp4").write_bytes(bytes(SIZE))
    whose = f"home {socket.gethostname()}:{tmp_path}/theirs"
    for line in ("prune --yes", "datasets delete pets --yes", f"enqueue {owned.sources}"):
        done = curate(*line.split())
        assert (done.code, whose in done.err) == (2, True), done.err
    assert (tmp_path / "shared/pets/a_scene-9.mp4").exists()
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]


def move_source(owned: Owned, video: int, path: str) -> None:
    """Let the row of a video name another source."""
    with owned.engine.begin() as connection:
        values = {"id": video, "path": path}
        connection.execute(text("UPDATE videos SET path = :path WHERE id = :id"), values)


def test_a_source_whose_web_server_does_not_answer_is_not_gone(curate: Call, owned: Owned) -> None:
    move_source(owned, 2, "http://127.0.0.1:9/b.mp4")
    assert found(curate, "pets", "--gone", "--yes") == {}
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]


def test_a_source_that_the_disk_does_not_tell_of_is_not_gone(curate: Call, owned: Owned) -> None:
    (owned.sources / "loop").symlink_to("loop")
    move_source(owned, 2, f"{owned.sources}/loop/b.mp4")
    done = curate("prune", "pets", "--gone", "--yes")
    assert (done.code, "symbolic links" in done.err) == (4, True), done.err
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]
    assert len(owned.files()) == 9


def test_a_dataset_without_videos_is_not_refused(curate: Call, owned: Owned) -> None:
    with owned.engine.begin() as connection:
        connection.execute(text("DELETE FROM clips"))
        connection.execute(text("DELETE FROM videos"))
    assert curate("prune", "pets", "--gone").code == 0


def test_rows_stay_as_long_as_a_file_that_they_name(curate: Call, owned: Owned) -> None:
    (owned.sources / "b.mp4").unlink()
    stuck = owned.clips / "b_scene-0.mp4"
    stuck.unlink()
    stuck.mkdir()
    assert curate("prune", "pets", "--gone", "--yes").code == 4
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]
    stuck.rmdir()
    assert curate("prune", "pets", "--gone", "--yes").code == 0
    assert owned.rows("SELECT count(*) FROM videos") == [(2,)]
    assert not list(owned.clips.glob("b_*"))


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize("change", ["gone", "replaced"])
def test_files_of_dropped_clips_stay_where_the_source_is_another(
    curate: Call, owned: Owned, change: str, yes: bool
) -> None:
    drop(owned, 1)
    source = owned.sources / "a.mp4"
    if change == "gone":
        source.unlink()
    else:
        source.write_bytes(bytes(SIZE + 1))
    assert found(curate, *(["--yes"] if yes else [])) == {}
    assert len(owned.files()) == 9


def test_only_archives_where_samples_are_written_are_samples(curate: Call, owned: Owned) -> None:
    for name in ("mine/77.zip", "77.zip", "0/078.zip"):
        (owned.home / "samples" / name).parent.mkdir(exist_ok=True)
        (owned.home / "samples" / name).write_bytes(bytes(SIZE))
    assert found(curate, "--yes") == {}


def test_samples_of_unknown_videos_stay_where_another_home_may_write(
    curate: Call, owned: Owned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (owned.home / "samples/0/77.zip").write_bytes(bytes(SIZE))
    monkeypatch.setenv("CURATE_MEDIA", str(tmp_path / "shared"))
    assert found(curate, "--yes") == {}
    monkeypatch.delenv("CURATE_MEDIA")
    assert found(curate, "--yes") == {"samples": (1, SIZE)}


def test_videos_do_not_go_while_rows_are_at_work(curate: Call, owned: Owned) -> None:
    (owned.sources / "b.mp4").unlink()
    with owned.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET stage = 'cut', status = 'active', owner = 'x|n|1|1|b', "
                 "lease_until = 1e12 WHERE id = 1")
        )  # fmt: skip
    done = curate("prune", "pets", "--gone", "--yes")
    assert (done.code, "curate cancel pets" in done.err) == (2, True), done.err
    assert owned.rows("SELECT count(*) FROM videos") == [(3,)]
    assert len(owned.files()) == 9


def test_a_source_in_the_folder_of_clips_is_never_pruned(
    curate: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_MEDIA", str(tmp_path))
    owned = make_owned(home, tmp_path / "pets")
    (owned.sources / "a.mp4").rename(owned.sources / "a_scene-9.mp4")
    (owned.sources / "a_scene-8.mp4").write_bytes(bytes(SIZE))
    with owned.engine.begin() as connection:
        connection.execute(
            text("UPDATE videos SET path = :path WHERE id = 1"),
            {"path": str(owned.sources / "a_scene-9.mp4")},
        )
    assert found(curate, "--yes") == {}
    names = ["a_scene-8.mp4", "a_scene-9.mp4", "b.mp4", "c.mp4"]
    assert sorted(p.name for p in owned.sources.iterdir()) == names
