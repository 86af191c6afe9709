"""datasets: all of a home, with their size on disk; one is shown, renamed, deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from curate.db.schema import SIDE_TABLES
from tests.cli.conftest import Call, Filled
from tests.cli.own_files import SIZE, Owned, make_owned
from tests.pipelines import pipeline


@pytest.fixture
def owned(home: Path, tmp_path: Path) -> Owned:
    return make_owned(home, tmp_path / "videos")


def test_each_dataset_has_its_rows_and_its_state(curate: Call, filled: Filled) -> None:
    (found,) = curate("datasets", "--json").json
    names = ("dataset", "state", "videos", "clips", "kept", "failed", "root")
    expected = ["pets", "running", 3, 7, 3, 2, "/videos/pets"]
    assert [found[name] for name in names] == expected
    assert found["made_at"] > 1e9
    shown = curate("datasets")
    assert shown.out.split()[:4] == ["dataset", "state", "videos", "clips"]
    assert "Next: curate status pets" in shown.err


def test_the_size_is_that_of_its_clips_and_samples(
    curate: Call, filled: Filled, home: Path
) -> None:
    for name, size in (
        ("clips/pets/a.mp4", 3000),
        ("clips/pets/b/c.mp4", 72),
        ("clips/other/a.mp4", 1 << 20),
        ("samples/0/2.zip", 512),
        ("samples/0/9.zip", 1 << 20),  # of no video of it
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(bytes(size))
    (found,) = curate("datasets", "--json").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (3072, 512)
    assert "3.5 kB" in curate("datasets").out
    (found,) = curate("datasets", "--json", "--no-size").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (None, None)


def test_what_lies_at_urls_is_not_counted(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_MEDIA", "s3://bucket/clips")
    (found,) = curate("datasets", "--json").json
    assert (found["clips_bytes"], found["samples_bytes"]) == (None, None)


def test_a_home_without_any(curate: Call, home: Path) -> None:
    result = curate("datasets", "--json")
    assert (result.code, result.json) == (0, [])
    result = curate("datasets")
    assert (result.code, result.out, "no dataset yet" in result.err) == (0, "", True)
    assert not home.exists()


def test_the_list_is_a_command_too(curate: Call, filled: Filled) -> None:
    assert curate("datasets", "list", "--json").json == curate("datasets", "--json").json
    assert curate("datasets", "list", "--no-size").out == curate("datasets", "--no-size").out


def test_info_tells_where_all_of_it_is(curate: Call, owned: Owned) -> None:
    found = curate("datasets", "info", "pets", "--json").json
    names = ("dataset", "videos", "clips", "kept", "dropped", "unfinished", "root")
    assert [found[n] for n in names] == ["pets", 3, 6, 6, 0, 0, str(owned.sources)]
    assert (found["clips_bytes"], found["samples_bytes"]) == (6 * SIZE, 3 * SIZE)
    assert found["clips_folder"] == str(owned.clips)
    assert found["stages"][:2] == ["probe", "split"]
    shown = curate("datasets", "info")
    assert "clips folder" in shown.out
    assert "curate datasets delete pets" in shown.err


def test_a_renamed_dataset_keeps_its_files(curate: Call, owned: Owned) -> None:
    before = owned.files()
    done = curate("datasets", "rename", "pets", "cats")
    assert (done.code, f"stay in {owned.clips}" in done.out) == (0, True), done.err
    assert owned.files() == before
    assert curate("datasets", "--json", "--no-size").json[0]["dataset"] == "cats"
    assert curate("export", "cats", "--columns", "path").out.split()[1:] == [
        str(owned.home / name) for name in before if name.startswith("clips")
    ]
    assert curate("run", str(owned.sources), "-o", "-", "--help").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pets", "other"), "There is a dataset other already"),
        (("pets", "a/b"), "use letters"),
        (("cats", "dogs"), "no dataset cats"),
    ],
)
def test_a_rename_that_cannot_be(
    curate: Call, owned: Owned, words: tuple[str, str], says: str
) -> None:
    datasets.create(owned.engine, "other", "/w", pipeline("score"))
    done = curate("datasets", "rename", *words)
    assert (done.code, says in done.err) == (2, True), done.err


def test_a_delete_takes_rows_and_files_of_one_dataset_and_no_source(
    curate: Call, owned: Owned, tmp_path: Path
) -> None:
    other = make_owned(owned.home, tmp_path / "more", "other")
    kept = [name for name in other.files() if "/other/" in name or name[-5] in "456"]
    (owned.clips / "a_scene-3.mp4").write_bytes(b"left by a worker that was killed")
    (owned.clips / "mine.txt").write_text("not curate's")
    with owned.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at) "
                "VALUES (1, 'm', '', '', 'a cat', 0)"
            )
        )
    done = curate("datasets", "delete", "pets", "--yes")
    assert done.code == 0, done.err
    assert "3 videos, 6 clips (6 kept), files: " in done.err
    assert f"Sources stay: {owned.sources}" in done.err
    assert "deleted, with 3 videos, 6 clips and 10 files" in done.out
    assert owned.files() == sorted([*kept, "clips/pets/mine.txt"])
    assert [d.name for d in datasets.all_datasets(owned.engine)] == ["other"]
    assert owned.rows("SELECT count(*), min(dataset_id) FROM clips") == [(6, other.dataset.id)]
    for name in SIDE_TABLES:
        assert owned.rows(f"SELECT count(*) FROM {name}") == [(0,)]
    assert len(list(owned.sources.iterdir())) == 3


def test_sources_that_lie_where_clips_go_are_never_deleted(
    curate: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_MEDIA", str(tmp_path))
    sources = tmp_path / "pets"  # which is also the folder of its clips
    owned = make_owned(home, sources)
    (sources / "a.mp4").rename(sources / "a_scene-0.mp4")
    with owned.engine.begin() as connection:
        renamed = {"path": str(sources / "a_scene-0.mp4")}
        connection.execute(text("UPDATE videos SET path = :path WHERE id = 1"), renamed)
        # as of a still image, whose clip is its source
        connection.execute(text("UPDATE clips SET path = :path WHERE id = 1"), renamed)
    (sources / "b_scene-7.mp4").touch()  # a file of the user that no row names
    (sources / "empty").mkdir()
    assert curate("datasets", "delete", "pets", "--yes").code == 0
    names = ["a_scene-0.mp4", "b.mp4", "b_scene-7.mp4", "c.mp4", "empty"]
    assert sorted(p.name for p in sources.iterdir()) == names


def test_a_delete_asks_and_without_a_terminal_wants_yes(
    curate: Call, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = owned.files()
    done = curate("datasets", "delete", "pets")
    assert (done.code, "curate datasets delete pets --yes" in done.err) == (2, True)
    assert curate("datasets", "delete", "pets", "--json").code == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in ((False, 1), (True, 0)):
        monkeypatch.setattr("typer.confirm", lambda *_, _answer=answer, **__: _answer)
        assert (owned.files(), curate("datasets", "delete", "pets").code) == (before, code)
    assert owned.files() == []


def test_a_dataset_at_work_is_not_deleted(curate: Call, owned: Owned) -> None:
    with owned.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE clips SET stage = 'cut', status = 'active', owner = 'other|ns|1|1|b', "
                "lease_until = 1e12 WHERE id = 1"
            )
        )
    done = curate("datasets", "delete", "pets", "--yes")
    assert (done.code, "dataset pets are at work (1 row)" in done.err) == (2, True), done.err
    assert "curate cancel pets" in done.err
    assert len(owned.files()) == 9
    assert curate("cancel", "pets").code == 0
    assert curate("datasets", "delete", "pets", "--yes").code == 0


KILLED = """
import sys
from curate.cli.main import main
from curate.db import deleting

deleting.VIDEOS_AT_ONCE = 1
delete = deleting.delete_clips

def halting(engine, ids):
    if sys.argv[1] == "behind":
        delete(engine, ids)
    print("one", flush=True)
    sys.stdin.readline()

deleting.delete_clips = halting
main(["datasets", "delete", "pets", "--yes"])
"""


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_delete_that_was_killed_is_seen_and_finished(
    curate: Call, owned: Owned, where: str
) -> None:
    command = [sys.executable, "-c", KILLED, where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        process.kill()
    assert len(owned.files()) == 6
    assert owned.rows("SELECT count(*) FROM clips") == [(6 if where == "before" else 4,)]
    (row,) = curate("datasets", "--json").json
    assert (row["state"], row["videos"]) == ("deleting", 3)
    for words in (
        ("resume", "pets"),
        ("run", str(owned.sources), "-o", str(owned.home / "c.csv")),
        ("status",),
    ):
        refused = curate(*words)
        assert (refused.code, "curate datasets delete pets" in refused.err) == (2, True), refused
    assert curate("datasets", "delete", "pets", "--yes").code == 0
    assert owned.files() == []
    assert owned.rows("SELECT count(*) FROM videos") == [(0,)]
    assert len(list(owned.sources.iterdir())) == 3


def test_files_at_urls_are_deleted_too(
    curate: Call, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    media = "memory://media/of-this-test"
    monkeypatch.setenv("CURATE_MEDIA", media)
    memory = fsspec.filesystem("memory")
    names = ["pets/a_scene-0.mp4", "pets/b_scene-7.mp4", "samples/0/1.zip", "else/b_scene-0.mp4"]
    for name in names:
        memory.pipe_file(f"{media}/{name}", bytes(SIZE))
    with owned.engine.begin() as connection:
        at = {"path": f"{media}/{names[0]}"}
        connection.execute(text("UPDATE clips SET path = :path WHERE id = 1"), at)
    done = curate("datasets", "delete", "pets", "--yes", "--json")
    assert (done.json["files"], done.json["bytes"]) == (8, 8 * SIZE), done.err  # 5 of them local
    assert [memory.exists(f"{media}/{name}") for name in names] == [False, False, False, True]
