"""The root that a source stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.tasks.inputs.roots import root_of


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("pets", "pets"), ("pets/", "pets"), ("pets/a.mp4", "pets"), ("pets/*.mp4", "pets"),
        ("a.mp4", ""),
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
