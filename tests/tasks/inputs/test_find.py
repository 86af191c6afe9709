"""What enqueue takes for a folder, a file, a glob or nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import NoInput
from curate.tasks.inputs.find import find_inputs
from tests.tasks.inputs.cases import relpaths, touch


def test_nothing_found_is_an_error_that_names_the_extensions(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match=r"\.mp4"):
        list(find_inputs(str(tmp_path)))
    with pytest.raises(NoInput):
        list(find_inputs(str(tmp_path / "missing.mp4")))


# one file, a glob


def test_one_file_may_have_any_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "movie.flv")
    monkeypatch.chdir(tmp_path)
    (found,) = find_inputs("movie.flv")
    assert (found.path, found.relpath) == (str(tmp_path / "movie.flv"), "movie.flv")


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].mp4", "a1.mp4")
    assert relpaths(tmp_path / "a[1].mp4") == ["a[1].mp4"]


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert [i.path for i in find_inputs(f"file://{tmp_path}")] == [str(tmp_path / "a.mp4")]
