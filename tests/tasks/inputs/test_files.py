"""What tells a changed file from an unchanged one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.configs.errors import ServiceError
from curate.configs.schema import ABSENT
from curate.tasks.inputs.files import (
    PassedOver,
    fingerprint_now,
    is_absent,
    is_gone,
    is_same_file,
    skipped_text,
)
from curate.tasks.inputs.find import find_inputs
from tests.tasks.inputs.cases import touch


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (before,) = find_inputs(str(tmp_path))
    (same,) = find_inputs(str(tmp_path))
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    (after,) = find_inputs(str(tmp_path))
    assert before == same and before.fingerprint != after.fingerprint == "1-1"


def test_the_fingerprint_of_a_path_is_that_of_its_input(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"a\xff%41.mp4"))
    (found,) = find_inputs(str(tmp_path))
    assert fingerprint_now(found.path) == found.fingerprint
    os.utime(tmp_path / os.fsdecode(b"a\xff%41.mp4"), ns=(1, 1))
    assert fingerprint_now(found.path) == "1-1"
    assert fingerprint_now(str(tmp_path / "gone.mp4")) == ABSENT


def test_only_what_is_certainly_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "loop").symlink_to("loop")
    paths = ["a.mp4", "b.mp4", "a.mp4/b.mp4", "none/b.mp4"]
    assert [is_gone(str(tmp_path / path)) for path in paths] == [False, True, True, True]
    assert [is_gone(f"file://{tmp_path}/{path}") for path in paths[:2]] == [False, True]
    assert not is_gone("http://127.0.0.1:9/a.mp4")
    for path in (f"{tmp_path}/loop/a.mp4", f"file://{tmp_path}/loop/a.mp4"):
        with pytest.raises(ServiceError):
            is_gone(path)


def test_what_an_unmounted_disk_would_hold_is_not_gone(tmp_path: Path) -> None:
    for name in ("one/a.mp4", "two/deep/a.mp4"):
        touch(tmp_path, name)
    (tmp_path / "mount").mkdir()
    gone = {
        "one/b.mp4": True, "one/none/b.mp4": True,
        "two/deep/b.mp4": True,
        "mount/b.mp4": False, "mount/deep/er/b.mp4": False,  # a mount point, empty
    }  # fmt: skip
    assert {path: is_gone(f"{tmp_path}/{path}") for path in gone} == gone
    assert is_gone(f"{tmp_path}/none/b.mp4") and not is_gone(f"{tmp_path}/none/b.mp4", "b.mp4")
    assert not is_gone(f"{tmp_path}/mount/b.mp4", "mount/b.mp4")
    assert is_gone(f"{tmp_path}/two/b.mp4", "two/b.mp4")
    (tmp_path / "two/deep/a.mp4").unlink()
    assert not is_gone(f"{tmp_path}/two/deep/b.mp4", "two/deep/b.mp4")


@pytest.mark.parametrize("folder", ["/no-such-disk", "/mnt/no-such", "/media/no-such/disk"])
def test_a_folder_that_is_not_there_where_disks_are_mounted_says_nothing(folder: str) -> None:
    assert is_absent(f"{folder}/a/b.mp4") and not is_gone(f"{folder}/a/b.mp4")


def test_the_fingerprint_of_an_object_is_read_anew(s3_url: str) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(f"{s3_url}/a.mp4")
    system.pipe_file(path, b"one")
    (found,) = find_inputs(s3_url)
    assert is_same_file(found.fingerprint, fingerprint_now(found.path))
    assert (is_gone(found.path), is_gone(f"{s3_url}/b.mp4")) == (False, True)
    with pytest.raises(ServiceError):  # says nothing of the file
        is_gone("s3://no-such-bucket-of-ours/b.mp4")
    system.pipe_file(path, b"two")
    system.ls(path.rpartition("/")[0])
    assert not is_same_file(found.fingerprint, fingerprint_now(found.path))
    system.rm_file(path)
    assert fingerprint_now(found.path) == ABSENT


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("5-7", "5-7", True),
        ("5-7", "5-8", False),
        ("5-7", "6-7", False),
        ("None-", "5-abc", True),  # a listing over HTTP tells nothing
        ("5-", "5-abc", True),
        ("5-", "6-abc", False),
        (ABSENT, ABSENT, True),
        (ABSENT, "5-7", False),
        ("5-7", ABSENT, False),
    ],
)
def test_fingerprints_are_compared_in_what_both_tell(before: str, now: str, same: bool) -> None:
    assert is_same_file(before, now) == same


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a.txt"], "1 file skipped: 1 .txt"),
        (["README", "a.txt", "b.TXT", "c.txt"], "4 files skipped: 3 .txt, 1 without"),
        (["README", "LICENSE", "a.b", "c.d"], "4 files skipped: 2 without, 1 .b, 1 .d"),
        ([f"a.x{n}" for n in range(7)] + ["b.x6"],
         "8 files skipped: 2 .x6, 1 .x0, 1 .x1, 1 .x2, 1 .x3, 2 others"),
    ],
)  # fmt: skip
def test_skipped_files_are_counted_by_suffix(names: list[str], text: str) -> None:
    passed_over = PassedOver()
    passed_over.count_others(names, names)
    assert skipped_text(passed_over.skipped()) == text


def test_what_a_stage_reads_beside_a_video_is_not_skipped() -> None:
    names = ["a.mp4", "a.txt", "a.json", "b.c.mp4", "b.c.txt", "b.txt", "notes.txt"]
    passed_over = PassedOver()
    passed_over.count_others([n for n in names if ".mp4" not in n], names)
    assert passed_over.skipped() == {".txt": 4, ".json": 1}
    assert passed_over.skipped([".txt"]) == {".txt": 2, ".json": 1}
    assert passed_over.skipped([".txt", ".json"]) == {".txt": 2}
