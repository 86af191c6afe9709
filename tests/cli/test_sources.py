"""From sources to datasets: names, roots, and the enqueue command."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.cli.shared.enqueuing import UNSAFE, EnqueueRequest, base_name, choose
from curate.configs.errors import UsageError
from curate.db.datasets import Dataset
from curate.tasks.inputs.roots import root_of
from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("/data/pets", "pets"),
        ("/data/my pets & co", "my-pets-co"),
        ("/data/list.csv", "list"),
        ("s3://bucket/deep/folder", "folder"),
        ("s3://bucket", "bucket"),
        ("/", "videos"),
        ("/data/🐈", "videos"),
        ("/data/.hidden", "hidden"),
    ],
)
def test_base_name(root: str, name: str) -> None:
    assert base_name(root) == name


@given(st.text(min_size=1))
def test_any_root_gives_a_safe_name(root: str) -> None:
    name = base_name(root)
    assert name
    assert not UNSAFE.search(name)
    assert name.strip("-.") == name


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("pets", "pets"), ("pets/", "pets"), ("pets/a.mp4", "pets"), ("pets/*.mp4", "pets"), ("a.mp4", ""),
        ("pets/**/x/*.mp4", "pets"), ("list.csv", "list.csv"), ("*.mp4", ""),
    ],
)  # fmt: skip
def test_a_file_or_glob_stands_for_its_folder(
    source: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert root_of(source) == str(tmp_path / root)


@pytest.mark.parametrize(
    ("source", "root"),
    [("s3://b/x/", "s3://b/x"), ("s3://b/x/a.mp4", "s3://b/x"), ("s3://b/x/*.mp4", "s3://b/x")],
)
def test_roots_of_urls(source: str, root: str) -> None:
    assert root_of(source) == root


def dataset(name: str, root: str) -> Dataset:
    return Dataset(1, name, root, "[]")


def test_the_same_root_is_the_same_dataset_another_gets_a_number() -> None:
    known = [dataset("pets", "/a/pets"), dataset("pets-2", "/b/pets")]
    assert choose(known, EnqueueRequest(["/b/pets"])) is known[1]
    assert choose(known, EnqueueRequest(["/c/pets"])) == "pets-3"
    assert choose([], EnqueueRequest(["/c/pets"])) == "pets"


def test_a_name_decides() -> None:
    known = [dataset("pets", "/a/pets")]
    assert choose(known, EnqueueRequest(["/elsewhere"], name="pets")) is known[0]
    assert choose(known, EnqueueRequest(["/a/pets"], name="fresh")) == "fresh"


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "x/y", "x" * 101, "ü"])
def test_a_name_must_be_safe(name: str) -> None:
    with pytest.raises(UsageError):
        choose([], EnqueueRequest(["/x"], name=name))


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
    curate: Call, folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_DATABASE_URL", postgres_url)
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
