"""run: what is wrong is reported before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--where", "flwo >= 1"), 3), (("--columns", "path,flwo"), 2), (("--sort", "flwo desc"), 2)],
    ids=["where", "columns", "sort"],
)
def test_a_misspelt_column_is_told_before_any_worker_starts(
    curate: Call, videos: Path, home: Path, words: tuple[str, str], code: int
) -> None:
    done = curate("run", str(videos), "-o", str(videos.parent / "clips.csv"), *words)
    assert (done.code, "flwo" in done.err, "did you mean flow" in done.err) == (code, True, True), (
        done.err
    )
    assert not (home / "logs").exists()
    assert not (home / "broker").exists()


def test_a_home_that_cannot_be_made_is_a_service_that_is_missing(
    curate: Call, videos: Path
) -> None:
    wrong = videos / "a.mp4" / "home"
    done = curate("--home", str(wrong), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert done.code == 4
    assert str(wrong) in done.err
    assert "CURATE_HOME" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_to(curate: Call, videos: Path) -> None:
    videos.chmod(0o555)
    done = curate("--home", str(videos), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert (done.code, "cannot be written to" in done.err) == (4, True)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nosuchdir", "no file or folder"),
        ("vidoes", "did you mean videos?"),
        ("nosuch.csv", "no file or folder"),
    ],
)
def test_a_source_that_is_not_there(
    curate: Call, videos: Path, home: Path, source: str, says: str
) -> None:
    for output in ([], ["-o", str(videos.parent / "clips.csv")]):  # -o may be missing too
        done = curate("run", str(videos.parent / source), *output)
        assert (done.code, says in done.err, home.exists()) == (2, True, False), done.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--where", "flwo >= 1"), 3),
        (("--where", "flow >="), 3),
        (("--columns", "path,flwo"), 2),
        (("--sort", "flwo desc"), 2),
    ],
)
def test_nothing_is_enqueued_when_the_table_cannot_be_written(
    curate: Call, videos: Path, home: Path, words: tuple[str, str], code: int
) -> None:
    done = curate("run", str(videos), "-o", str(videos.parent / "clips.csv"), *words)
    assert (done.code, home.exists()) == (code, False), done.err
    assert curate("enqueue", str(videos)).code == 0  # and to a dataset that is there, nothing more
    (videos / "b.mp4").write_bytes(b"x")
    done = curate("run", str(videos), "-o", str(videos.parent / "clips.csv"), *words)
    assert done.code == code
    assert curate("status", "--json").json["totals"]["videos"] == 1


def test_columns_of_the_input_table_are_known_before_it_is_enqueued(
    curate: Call, videos: Path, home: Path
) -> None:
    table = videos.parent / "list.csv"
    table.write_text(f"path,license\n{videos}/a.mp4,CC0\n")
    columns = ("--columns", "path,license,licence")
    done = curate("run", str(table), "-o", str(videos.parent / "clips.csv"), *columns)
    assert (done.code, "no column licence (did you mean license?)" in done.err) == (2, True)
    assert not home.exists()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/proc/x.csv", "/proc/x.csv cannot be written"),
        ("/proc/no/such.csv", "cannot be written"),
        ("/proc/x", "has no ending"),
        ("x.xlsx", "ends in .xlsx"),
        ("videos", "is a folder"),
        ("folder.csv", "is a folder"),
        ("videos/a.mp4/x.csv", "a.mp4 is not a folder"),
        (f"{'x' * 250}.csv", "File name too long"),
        (f"{'x' * 300}/y.csv", "File name too long"),
    ],
)
def test_a_target_that_cannot_be_written_is_told_before_any_work(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch, target: str, says: str
) -> None:
    monkeypatch.chdir(videos.parent)
    Path("folder.csv").mkdir()
    done = curate("run", str(videos), "-o", target)
    assert (done.code, says in done.err, home.exists()) == (2, True, False), done.err
    assert sorted(p.name for p in videos.parent.iterdir()) == ["folder.csv", "videos"]
