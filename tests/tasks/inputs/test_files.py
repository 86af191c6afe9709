"""What tells a changed file from an unchanged one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.tasks.inputs.files import ABSENT, fingerprint_now, is_same_file
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


def test_the_fingerprint_of_an_object_is_read_anew(s3_url: str) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(f"{s3_url}/a.mp4")
    system.pipe_file(path, b"one")
    (found,) = find_inputs(s3_url)
    assert is_same_file(found.fingerprint, fingerprint_now(found.path))
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
