"""What enqueue takes for a folder, a file, a glob or nothing at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curate.configs.errors import NoInput
from curate.tasks.inputs.extensions import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from curate.tasks.inputs.files import PassedOver, Search
from curate.tasks.inputs.find import find_all_inputs, find_inputs
from tests.tasks.inputs.cases import relpaths, touch

INSTALL = Path(__file__).parents[3] / "docs" / "install.md"


def test_the_docs_list_all_extensions() -> None:
    lines = INSTALL.read_text(encoding="utf-8").partition("Videos end in")[2]
    assert tuple(re.findall(r"`(\.[^`]+)`", lines)) == VIDEO_EXTENSIONS + IMAGE_EXTENSIONS


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


# still images


def joining(source: Path | str, passed_over: PassedOver | None = None, **search: bool) -> list[str]:
    found = find_inputs(str(source), passed_over, Search(**search))
    return [i.relpath for i in found if not i.only_known]


@pytest.mark.parametrize("picture", ["a.png", "m/z.JPG", "z.webp"])
def test_pictures_beside_videos_join_only_when_asked(tmp_path: Path, picture: str) -> None:
    touch(tmp_path, picture, "m/v.mp4")
    assert joining(tmp_path) == ["m/v.mp4"]
    assert sorted(joining(tmp_path, pictures=True)) == sorted([picture, "m/v.mp4"])


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.gif", "b.png")
    assert joining(tmp_path) == ["a.gif"]


def test_a_folder_of_pictures_alone_joins_and_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b/c.jpg", "notes.txt")
    passed_over = PassedOver()
    assert joining(tmp_path, passed_over) == ["a.png", "b/c.jpg"]
    assert passed_over.only_pictures == [str(tmp_path)]
    assert passed_over.skipped() == {".txt": 1}  # counted once, though looked at twice


def test_pictures_named_by_path_glob_or_table_join(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "v.mp4")
    passed_over = PassedOver()
    assert joining(tmp_path / "a.png", passed_over) == ["a.png"]
    assert joining(tmp_path / "*.png", passed_over) == ["a.png", "b.png"]
    (tmp_path / "list.csv").write_text("path\na.png\nv.mp4\n")
    assert joining(tmp_path / "list.csv", passed_over) == ["a.png", "v.mp4"]
    assert joining(tmp_path / "*", passed_over) == ["v.mp4"]
    assert passed_over.only_pictures == []


def test_a_picture_of_a_folder_that_is_also_named_joins(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "v.mp4")
    for sources in ([tmp_path, tmp_path / "a.png"], [tmp_path / "a.png", tmp_path]):
        passed_over = PassedOver()
        found = find_all_inputs([*map(str, sources)], passed_over, Search())
        assert sorted(i.relpath for i in found if not i.only_known) == ["a.png", "v.mp4"]


def test_nothing_found_says_what_is_there_instead(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.txt", "README")
    with pytest.raises(NoInput, match=r"\(3 files skipped: 2 \.txt, 1 without\)\. .*\.mp4"):
        list(find_inputs(str(tmp_path)))
