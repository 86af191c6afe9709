"""Folders and shards appear when they are whole, and go on after a kill: the same bytes."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import ExportThere, UsageError
from curate.db.selection import Selection
from curate.export import folder
from curate.export.format import Item, MediaFormat
from curate.export.places import alone
from curate.export.registry import FORMATS
from curate.tasks.storage.locations import Location
from curate.tasks.storage.part_files import part_name
from tests.export.shelf import Shelf, make_shelf, tree

MEDIA = [name for name, format in FORMATS.items() if isinstance(format, MediaFormat)]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MediaFormat, "part_clips", 2)


class StoppedError(Exception):
    """The export ended as by a kill."""


def stop(
    shelf: Shelf,
    name: str,
    target: Path | str,
    number: int = 2,
    when: str = "middle",
    **options: Any,
) -> None:
    """Begin an export that ends before, in the middle of, or after a part."""
    format = FORMATS[name]
    assert isinstance(format, MediaFormat)
    lay = type(format).lay

    def stopping(
        self: Any, part: int, items: Sequence[Item], root: Location, way: Any
    ) -> list[Any]:
        if part != number:
            return lay(self, part, items, root, way)
        if when != "before":
            lay(self, part, items if when == "after" else items[:1], root, way)
        raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(format), "lay", stopping)
        with pytest.raises(StoppedError):
            shelf.export(name, target, **options)


@pytest.mark.parametrize("when", ["before", "middle", "after"])
@pytest.mark.parametrize("name", ["webdataset", "videofolder", "sidecar", "musubi"])
def test_an_export_that_was_stopped_goes_on_and_has_the_same_bytes(
    shelf: Shelf, tmp_path: Path, name: str, when: str
) -> None:
    target = tmp_path / "out"
    shelf.export(name, target, shard_clips=2)
    whole = tree(target)
    target.rename(tmp_path / "whole")
    for number in (0, 2):
        stop(shelf, name, target, number, when, shard_clips=2)
        assert not target.exists()
    shelf.export(name, target, shard_clips=2)
    assert tree(target) == whole
    assert [p.name for p in tmp_path.glob(".out*")] == []


def test_nothing_temporary_of_a_killed_process_is_left(shelf: Shelf, tmp_path: Path) -> None:
    stop(shelf, "webdataset", tmp_path / "out", 0, "after")
    (tmp_path / ".out.partial" / part_name()).touch()
    shelf.export("webdataset", tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"000000.tar", "index.json", folder.MARK}


def test_what_is_done_is_not_done_again(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format = FORMATS["sidecar"]
    assert isinstance(format, MediaFormat)
    stop(shelf, "sidecar", tmp_path / "out", 2, "before")
    seen = []
    lay = type(format).lay

    def noting(self: Any, part: int, *rest: Any) -> list[Any]:
        seen.append(part)
        return lay(self, part, *rest)

    monkeypatch.setattr(type(format), "lay", noting)
    written = shelf.export("sidecar", tmp_path / "out")
    assert seen == [2, 3] and written.clips == {"": 7}


@pytest.mark.parametrize("name", ["webdataset", "sidecar"])
def test_a_dataset_that_changed_meanwhile_is_exported_as_it_is_now(
    shelf: Shelf, tmp_path: Path, name: str
) -> None:
    stop(shelf, name, tmp_path / "out", shard_clips=2)
    shelf.change("status = 'dropped'", 1)
    shelf.change("text = 'another'", 2)
    shelf.export(name, tmp_path / "out", shard_clips=2)
    shelf.export(name, tmp_path / "anew", shard_clips=2)
    found, anew = tree(tmp_path / "out"), tree(tmp_path / "anew")
    assert found == anew


@pytest.mark.parametrize("name", ["webdataset", "sidecar"])
def test_a_file_that_another_of_the_same_size_replaced_is_exported_as_it_is_now(
    shelf: Shelf, tmp_path: Path, name: str
) -> None:
    stop(shelf, name, tmp_path / "out", shard_clips=2)
    size = shelf.file(1).stat().st_size
    shelf.file(1).unlink()
    shelf.file(1).write_bytes(bytes(size))
    shelf.export(name, tmp_path / "out", shard_clips=2)
    shelf.export(name, tmp_path / "anew", shard_clips=2)
    assert tree(tmp_path / "out") == tree(tmp_path / "anew")
    shelf.file(3).touch()
    with pytest.raises(ExportThere, match="before its clips"):
        shelf.export(name, tmp_path / "out", shard_clips=2)


def test_another_export_to_the_same_place_begins_anew(shelf: Shelf, tmp_path: Path) -> None:
    stop(shelf, "sidecar", tmp_path / "out")
    shelf.export("two-files", tmp_path / "out")
    assert "000000001.txt" not in tree(tmp_path / "out")


def test_an_export_that_is_whole_is_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    first = shelf.export("sidecar", tmp_path / "out")
    before = tree(tmp_path / "out")
    (tmp_path / "out" / ".curate").mkdir()  # as after a kill at the very end
    again = shelf.export("sidecar", tmp_path / "out")
    assert again.nothing_new and not first.nothing_new and again.clips == first.clips
    with pytest.raises(ExportThere, match="another command"):
        shelf.export("sidecar", tmp_path / "out", files="copy")
    shelf.change("text = 'new'", 1)
    with pytest.raises(ExportThere, match="before its clips"):
        shelf.export("sidecar", tmp_path / "out")
    assert tree(tmp_path / "out") == before


def test_a_folder_of_other_files_is_left_alone_and_an_empty_one_taken(
    shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    shelf.export("sidecar", tmp_path / "mine")
    (tmp_path / "yours").mkdir()
    (tmp_path / "yours/thesis.tex").touch()
    with pytest.raises(ExportThere, match="other files"):
        shelf.export("sidecar", tmp_path / "yours")
    assert list((tmp_path / "yours").iterdir()) == [tmp_path / "yours/thesis.tex"]


def test_an_empty_folder_is_taken_by_a_link_to_it(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "disk/empty").mkdir(parents=True)
    (tmp_path / "out").symlink_to("disk/empty")
    shelf.export("sidecar", tmp_path / "out")
    assert (tmp_path / "out").is_symlink() and (tmp_path / "disk/empty" / folder.MARK).exists()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["empty"]
    assert shelf.export("sidecar", tmp_path / "out").nothing_new


def test_a_mount_point_is_refused(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match=r"mount point.* -o /NAME"):
        shelf.export("sidecar", "/")


def test_half_an_export_at_a_url_goes_on_and_is_not_mixed(shelf: Shelf, tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/out"
    stop(shelf, "webdataset", url, 2, "after", shard_clips=2)
    with pytest.raises(ExportThere, match="half of another"):
        shelf.export("webdataset", url, shard_clips=3)
    shelf.change("text = 'changed'", 1)
    assert shelf.export("webdataset", url, shard_clips=2).clips == {"": 9}
    assert shelf.export("webdataset", url, shard_clips=2).nothing_new


def test_two_commands_do_not_write_one_export(shelf: Shelf, tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match="another command")
    with alone(tmp_path / "x"), refused, alone(tmp_path / "x"):
        raise AssertionError
    with alone(tmp_path / "x"):
        pass


def test_counting_writes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    before = tree(tmp_path)
    found = shelf.job("sidecar").count()
    assert found.clips == {"": 7} and found.bytes[""] == sum(
        shelf.file(n).stat().st_size for n in (1, 2, 3, 5, 6, 8, 9)
    )
    assert {n for n in tree(tmp_path) if "curate.db" not in n} == {
        n for n in before if "curate.db" not in n
    }


def test_a_clip_that_was_not_cut_is_not_its_whole_source(shelf: Shelf, tmp_path: Path) -> None:
    shelf.change("path = NULL", 1)
    written = shelf.export("webdataset", tmp_path / "out")
    assert written.left == {"have no file of their own, for they were not cut": 1}


def test_a_clip_of_unknown_size_whose_file_is_gone_is_left_out(
    shelf: Shelf, tmp_path: Path
) -> None:
    for number in (1, 2):
        shelf.change("file_size = NULL", number)
    shelf.file(1).unlink()
    written = shelf.export("webdataset", tmp_path / "out")
    assert written.left == {"have a file that is gone or cannot be read": 1}
    assert written.clips == {"": 8}


def test_a_still_image_is_copied_since_its_file_is_the_source(shelf: Shelf, tmp_path: Path) -> None:
    (still,) = shelf.put("still.jpg", ["a cat"], ".jpg")
    shelf.export("videofolder", tmp_path / "out", files="link")
    (copied,) = (tmp_path / "out").rglob("*.jpg")
    assert not copied.samefile(shelf.file(still))
    assert copied.read_bytes() == shelf.file(still).read_bytes()
    assert shelf.file(1).stat().st_nlink == 2


@pytest.mark.parametrize("name", MEDIA)
def test_every_format_takes_no_clip_at_all(shelf: Shelf, tmp_path: Path, name: str) -> None:
    job = shelf.job(name, Selection(where="num_frames > 99"))
    assert job.write(str(tmp_path / "out")).clips == {"": 0}
    format = FORMATS[name]
    assert isinstance(format, MediaFormat)
    out = tmp_path / "out"
    assert out.is_file() if format.file else (out / folder.MARK).exists()


def _killed_at_random(home: Path, clips: Path, target: Path, seed: int) -> None:
    """A process that exports, and ends itself by SIGKILL at the call of a function by random."""
    shelf = make_shelf(home, clips)
    from curate.db.datasets import all_datasets

    shelf.datasets = all_datasets(shelf.engine)
    left = random.Random(seed).randrange(20, 4000)

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    job = shelf.job("webdataset", shard_clips=2)
    sys.setprofile(count)
    job.write(str(target))
    os._exit(0)


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_random_it_ends_with_the_same_bytes(
    shelf: Shelf, home: Path, tmp_path: Path, seed: int
) -> None:
    shelf.export("webdataset", tmp_path / "whole", shard_clips=2)
    shelf.engine.dispose()
    kills = 0
    for trial in range(4):
        child = os.fork()
        if not child:
            _killed_at_random(home, shelf.folder, tmp_path / "out", seed * 10 + trial)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert kills
    shelf.export("webdataset", tmp_path / "out", shard_clips=2)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
