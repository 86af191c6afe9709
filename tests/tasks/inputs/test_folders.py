"""What is found in folders and by globs, and in which order."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from curate.configs.schema import ABSENT
from curate.tasks.inputs.extensions import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from curate.tasks.inputs.files import PassedOver, Search
from curate.tasks.inputs.find import find_inputs
from curate.tasks.inputs.paths import to_path
from tests import media
from tests.tasks.inputs.cases import relpaths, touch


def test_a_folder_is_searched_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/z.MOV", "a/a.webm", "c.png", "notes.txt", "d.m2ts")
    assert relpaths(tmp_path) == ["a/a.webm", "a/z.MOV", "b.mp4", "c.png", "d.m2ts"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.mp4", ".cache/x.mp4", "ok.mp4")
    assert relpaths(tmp_path) == ["ok.mp4"]


@pytest.mark.parametrize("extension", VIDEO_EXTENSIONS + IMAGE_EXTENSIONS)
def test_every_extension_is_found_in_any_case(extension: str, tmp_path: Path) -> None:
    touch(tmp_path, f"a{extension}", f"b{extension.upper()}")
    assert relpaths(tmp_path) == [f"a{extension}", f"b{extension.upper()}"]


def test_what_is_no_file_comes_out_so_that_its_row_can_say_why(tmp_path: Path) -> None:
    media.draw_bad("directory", tmp_path)
    media.draw_bad("broken_link", tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        found = list(find_inputs(str(tmp_path)))
    assert [i.relpath for i in found] == ["folder.mp4", "link.mp4", "pipe.mp4", "socket.mp4"]
    assert found[1].fingerprint == ABSENT


def test_files_in_a_folder_called_like_a_video_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "x.mp4/inner.mp4")
    assert relpaths(tmp_path) == ["x.mp4", "x.mp4/inner.mp4"]


@pytest.mark.parametrize("name", media.ODD_NAMES)
def test_odd_names_are_found_and_open_again(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"content")
    (found,) = find_inputs(str(tmp_path))
    json.dumps([found.path, found.relpath]).encode("utf-8")
    assert Path(to_path(found.path)).read_bytes() == b"content"


def test_link_loops_end_and_nothing_is_found_twice(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "a/1.mp4", "b/2.mp4")
    for number, (link, target) in enumerate([("a", "b"), ("b", "a"), ("a", "."), ("b", "..")]):
        (root / link / f"link{number}").symlink_to(root / target)
    (root / "b/itself").symlink_to("itself")
    assert relpaths(root) == ["a/1.mp4", "b/2.mp4"]


def test_a_linked_folder_outside_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "in/own.mp4", "out/linked.mp4")
    (tmp_path / "in/l1").symlink_to(tmp_path / "out")
    (tmp_path / "in/l2").symlink_to(tmp_path / "out")
    assert relpaths(tmp_path / "in") == ["l1/linked.mp4", "own.mp4"]


def test_two_links_to_one_file_are_two_rows(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "hard.mp4").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "soft.mp4").symlink_to("a.mp4")
    assert relpaths(tmp_path) == ["a.mp4", "hard.mp4", "soft.mp4"]


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.mp4", "closed/b.mp4")
    real = os.scandir

    def scandir(path: Any) -> Any:  # root may list everything, so the refusal has to be played
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    passed_over = PassedOver()
    assert relpaths(tmp_path, passed_over) == ["a.mp4"]
    assert passed_over.unreadable == [(str(tmp_path / "closed"), "Permission denied")]


def test_finding_is_lazy(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    found = find_inputs(str(tmp_path))
    assert next(found).relpath == "a.mp4"
    touch(tmp_path, "c.mp4")
    assert next(found).relpath == "b.mp4"


def test_a_glob_counts_from_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "d/a/1.mp4", "d/b/2.mp4", "d/b/3.txt", "e/4.mp4")
    assert relpaths(f"{tmp_path}/d/**/*") == ["a/1.mp4", "b/2.mp4"]
    assert relpaths(f"{tmp_path}/d/?/1.mp4") == ["a/1.mp4"]


def test_files_of_no_known_kind_are_counted(tmp_path: Path) -> None:
    """Not hidden ones, folders, nor what a link to a folder already walked shows once more."""
    touch(tmp_path, "a.mp4", "notes.txt", "b/more.TXT", "b/c/x.txt", "b/README")
    touch(tmp_path, ".hidden.txt", ".git/x.txt")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "broken").symlink_to("nowhere.txt")
    passed_over = PassedOver()
    assert relpaths(tmp_path, passed_over) == ["a.mp4"]
    assert passed_over.skipped() == {".txt": 3, "": 2}


def test_a_glob_counts_what_it_matches(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.txt", "c.csv", "d/x.txt")
    passed_over = PassedOver()
    assert relpaths(f"{tmp_path}/*", passed_over) == ["a.mp4"]
    assert passed_over.skipped() == {".csv": 1, ".txt": 1}


def test_curates_own_folders_are_not_entered(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "home/clips/1/a_scene-0.mp4", "home/b.mp4", "clips/c.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "home" / "clips")
    search = Search(own=frozenset([f"{tmp_path}/home/clips", "s3://bucket/clips"]))
    passed_over = PassedOver()
    found = [i.relpath for i in find_inputs(str(tmp_path), passed_over, search)]
    assert found == ["a.mp4", "clips/c.mp4", "home/b.mp4"]
    assert passed_over.own == [f"{tmp_path}/home/clips", f"{tmp_path}/link"]
    named = find_inputs(f"{tmp_path}/home/clips", PassedOver(), search)
    assert [i.relpath for i in named] == ["1/a_scene-0.mp4"]  # asked for
