"""enqueue: videos are found, counted and put into the dataset of their folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from curate.cli.shared.output import Counter
from curate.db.datasets import all_datasets, create
from curate.db.engine import make_engine
from curate.worker.session.pipelines import pipeline_of
from tests.cli.conftest import Call


def test_after_a_dry_run_the_same_command_is_named_with_all_its_options(
    curate: Call, videos: Path
) -> None:
    (videos.parent / "my file.yaml").write_text(
        "pipeline: [probe, split, {filter: long, where: num_frames > 9}]"
    )
    words = [str(videos), "--config", str(videos.parent / "my file.yaml")]
    words += [
        "--set",
        "split.max_seconds=7",
        "--set",
        "long.where='num_frames > 5'",
        "--name",
        "pets",
    ]
    done = curate("enqueue", "-n", *words)
    assert (done.code, shlex.split(done.err.partition("Next: ")[2])) == (
        0,
        ["curate", "enqueue", *words],
    ), done.err
    assert shlex.split(curate("enqueue", "-n", words[0]).err)[-3:] == [
        "curate",
        "enqueue",
        words[0],
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files that look like videos."""
    made = tmp_path / "pets"
    made.mkdir()
    for name in ("a.mp4", "b.mp4", "c.avi"):
        (made / name).write_bytes(name.encode())
    return made


def counts(found: dict[str, int]) -> tuple[int, ...]:
    return tuple(found[k] for k in ("found", "new", "changed", "unchanged"))


def test_a_dry_run_writes_nothing(curate: Call, folder: Path, home: Path) -> None:
    found = curate("enqueue", str(folder), "-n", "--json").json
    assert (counts(found), found["dataset"]) == ((3, 3, 0, 0), "pets")
    assert found["stages"][0] == {"stage": "probe", "queue": "cpu"}
    assert not home.exists()


def test_enqueue_twice_finds_nothing_new(curate: Call, folder: Path) -> None:
    first = curate("enqueue", str(folder))
    assert "dataset pets: found 3: 3 new, 0 changed, 0 unchanged" in first.out
    assert "curate resume pets" in first.err  # no worker runs
    (folder / "a.mp4").write_bytes(b"other")
    for words in (["-n"], []):
        assert counts(curate("enqueue", str(folder), "--json", *words).json) == (3, 0, 1, 2)
    assert counts(curate("enqueue", str(folder), "--json").json) == (3, 0, 0, 3)
    assert curate("status", "--json").json["totals"]["videos"] == 3


def test_a_file_twice_is_one_video(curate: Call, folder: Path) -> None:
    found = curate("enqueue", str(folder), str(folder / "a.mp4"), "--json").json
    assert (counts(found), found["named_twice"]) == ((3, 3, 0, 0), 1)


def test_files_one_by_one_go_to_the_dataset_of_their_folder(curate: Call, folder: Path) -> None:
    curate("enqueue", str(folder / "a.mp4"))
    found = curate("enqueue", str(folder), "--json").json
    assert (counts(found), found["dataset"]) == ((3, 2, 0, 1), "pets")


def test_two_folders_in_one_dataset(curate: Call, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.mp4").touch()
    assert counts(curate("enqueue", str(folder), str(other), "--json").json) == (4, 4, 0, 0)


def test_nothing_found_makes_nothing(
    curate: Call, folder: Path, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "empty").mkdir()
    result = curate("enqueue", str(folder), str(tmp_path / "empty"))
    assert (result.code, "empty" in result.err) == (2, True)
    assert not home.exists()


def test_another_pipeline_is_refused_the_same_goes_on(curate: Call, folder: Path) -> None:
    curate("enqueue", str(folder), "--set", "cut.crf=20")
    assert (
        curate("enqueue", str(folder)).code == 0
    )  # without --config and --set the dataset's own goes on
    assert curate("enqueue", str(folder), "--set", "cut.crf=20").code == 0
    for words in (["-n"], []):
        result = curate("enqueue", str(folder), "--set", "cut.crf=21", *words)
        assert (result.code, "cut.crf 20 → 21" in result.err) == (3, True)
    assert curate("enqueue", str(folder), "--set", "cut.crf=21", "--name", "pets21").code == 0


def test_a_postgres_database_works_as_well(
    curate: Call, folder: Path, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_DATABASE_URL", empty_postgres_url)
    assert counts(curate("enqueue", str(folder), "--json").json) == (3, 3, 0, 0)
    assert curate("status", "--json").json["stages"][0]["waiting"] == 3
    assert curate("sql", "SELECT count(*) AS n FROM videos", "--json").json == [{"n": 3}]
    assert "schema" in curate("db", "upgrade").out
    assert (
        curate("filter", "--json").code
        == curate("errors", "--json").code
        == curate("export").code
        == 0
    )


def test_what_a_folder_holds_besides_is_told(curate: Call, folder: Path) -> None:
    for name in ("1.txt", "2.txt", "3.txt", "README", "p.png", "q.jpg"):
        (folder / name).write_bytes(b"x")
    for words in (["-n"], []):
        told = curate("enqueue", str(folder), *words).out
        assert "found 3: 3 new" in told
        assert "4 files skipped: 3 .txt, 1 without\n2 pictures left out; add --images\n" in told
    found = curate("enqueue", str(folder), "--json").json
    assert (found["skipped"], found["pictures_left_out"]) == ({".txt": 3, "": 1}, 2)
    asked = curate("enqueue", str(folder), "--images", "-n")
    assert "found 5: 2 new" in asked.out and "left out" not in asked.out
    assert shlex.split(asked.err)[-1] == "--images"


def test_pictures_that_are_rows_already_stay(curate: Call, folder: Path) -> None:
    """As in a home of before, where pictures always joined."""
    (folder / "p.png").write_bytes(b"x")
    curate("enqueue", str(folder), "--images")
    (folder / "q.png").write_bytes(b"x")
    again = curate("enqueue", str(folder), "--json").json
    assert (counts(again), again["pictures_left_out"]) == ((4, 0, 0, 4), 1)
    (folder / "p.png").write_bytes(b"other")
    again = curate("enqueue", str(folder), "--json").json
    assert (counts(again), again["pictures_left_out"]) == ((4, 0, 1, 3), 1)


def test_a_folder_of_pictures_joins_and_says_so(curate: Call, folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    (pictures / "p.png").write_bytes(b"x")
    told = curate("enqueue", str(pictures)).out
    assert "found 1: 1 new" in told and f"{pictures} holds no video: its pictures join" in told


def test_captions_that_a_stage_reads_beside_videos_are_not_skipped(
    curate: Call, folder: Path
) -> None:
    for name in ("a.txt", "b.json", "notes.txt"):
        (folder / name).write_bytes(b"x")
    assert curate("enqueue", str(folder), "-n", "--json").json["skipped"] == {".txt": 2, ".json": 1}
    words = ["--config", str(folder.parent / "captions.yaml"), "-n", "--json"]
    Path(words[1]).write_text("pipeline: [probe, split, load_captions]")
    assert curate("enqueue", str(folder), *words).json["skipped"] == {".txt": 1}


def test_the_clips_of_a_home_inside_the_folder_are_no_videos(
    curate: Call, folder: Path, home: Path
) -> None:
    curate("enqueue", str(folder))
    clips = home / "clips" / "1"
    clips.mkdir(parents=True)
    (clips / "a_scene-0.mp4").write_bytes(b"x")
    found = curate("enqueue", str(home.parent), "--json").json
    assert (counts(found), found["own"]) == ((3, 3, 0, 0), [str(home / "clips")])
    assert found["skipped"] == {}  # the database is not counted


def test_a_file_of_a_suffix_that_was_not_known_stays_in_its_dataset(
    curate: Call, folder: Path, home: Path
) -> None:
    """Its root was the file itself, before folders were searched for its suffix."""
    file = folder / "a.flv"
    file.write_bytes(b"x")
    engine = make_engine(f"sqlite:///{home}/curate.db")
    curate("enqueue", str(folder))
    pipeline = pipeline_of(all_datasets(engine)[0])
    create(engine, "a.flv", str(file), pipeline)
    engine.dispose()
    assert curate("enqueue", str(file), "--json").json["dataset"] == "a.flv"
    assert curate("enqueue", str(folder), "--json").json["dataset"] == "pets"


def test_a_long_search_tells_how_many_files_it_has_found(
    curate: Call, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    (videos / "b.mp4").write_bytes(b"x")
    for words in (["-n"], []):
        told = curate("enqueue", str(videos), *words).err
        assert " 1 files found\n" in told and " 2 files found\n" in told
