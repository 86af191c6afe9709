"""What a killed worker had begun to write is removed; what others write stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from curate.configs.identity import process_mark
from curate.tasks.storage.locations import replacing
from curate.tasks.storage.part_files import IDLE, remove_abandoned

KILLED = """
import os, signal, sys
from pathlib import Path
from curate.tasks.storage.locations import replacing
with replacing({location}) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(location: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED.format(location=location)], check=False)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.fixture(autouse=True)
def tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of its own."""
    folder = tmp_path / "tmpdir"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def old(path: Path) -> Path:
    """The path, last written to more than a day ago."""
    path.touch()
    then = time.time() - IDLE - 60
    os.utime(path, (then, then))
    return path


def test_the_file_of_a_killed_process_goes_and_whole_files_stay(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    kill_while_writing(f"Path({str(clips / '7/sub/a.mp4')!r})")
    (clips / "7/sub/b.mp4").write_bytes(b"whole")
    assert len(files(clips)) == 2
    assert remove_abandoned(clips) == 1
    assert files(clips) == ["b.mp4"]


def test_the_file_of_a_living_process_stays_however_old(tmp_path: Path) -> None:
    with replacing(tmp_path / "clips/a.mp4") as temporary:
        old(temporary)
        assert remove_abandoned(tmp_path / "clips") == 0
        assert temporary.exists()


def test_files_of_other_hosts_stay_however_old(tmp_path: Path) -> None:
    _, boot, _, _ = process_mark().split("-")
    name = f".00000000-{boot}-4194303-1-0123abcd.part"
    old(tmp_path / name)
    assert remove_abandoned(tmp_path) == 0


@pytest.mark.parametrize("form", ["before a restart", "without a process"])
def test_where_the_name_does_not_tell_a_file_goes_after_a_day(tmp_path: Path, form: str) -> None:
    host = process_mark().split("-")[0]
    stem = f".{host}-00000000-1-1-0123abc" if form == "before a restart" else ".0123456789abcde"
    old(tmp_path / f"{stem}d.part")
    (tmp_path / f"{stem}e.part").touch()
    assert remove_abandoned(tmp_path) == 1
    assert files(tmp_path) == [f"{stem}e.part"]


def test_files_of_others_that_end_in_part_stay(tmp_path: Path) -> None:
    for name in ("film.mp4.part", ".a.part", "0123456789abcdef.part"):
        old(tmp_path / name)
    assert remove_abandoned(tmp_path) == 0


def test_what_was_to_be_uploaded_goes_from_the_folder_of_temporary_files(tmpdir: Path) -> None:
    kill_while_writing("'memory://bucket/a.mp4'")
    (tmpdir / "curate-notes").mkdir()
    assert len(list(tmpdir.iterdir())) == 2
    assert remove_abandoned() == 1
    assert [p.name for p in tmpdir.iterdir()] == ["curate-notes"]


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "clips") == 0
