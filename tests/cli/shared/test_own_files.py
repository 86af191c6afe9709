"""Which files of a dataset are curate's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.cli.shared.own_files import (
    file_of_clip,
    files_of_videos,
    folder_of,
    is_own_folder,
    leftover_clips,
    named_as_clips,
)
from curate.configs.settings import Settings, load_settings
from curate.db.deleting import ClipFile
from tests.cli.own_files import SIZE, Owned, make_owned


@pytest.fixture
def owned(home: Path, tmp_path: Path) -> Owned:
    return make_owned(home, tmp_path / "videos")


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/old/media/pets/a_scene-0.mp4", True),
        ("s3://bucket/pets/a_scene-0.mp4", True),
        ("/old/media/other/a_scene-0.mp4", False),
        ("/old/media/pets/a_scene-1.mp4", False),
        ("/videos/a.png", False),
    ],
)
def test_a_file_elsewhere_is_a_clips_own_if_it_ends_as_clips_do(
    owned: Owned, path: str, own: bool
) -> None:
    clip = ClipFile(1, 1, "a", 0, path)
    assert file_of_clip(load_settings(), owned.dataset, clip) == (path if own else None)


def test_the_file_of_a_row_without_one_is_where_it_is_written_now(owned: Owned) -> None:
    clip = ClipFile(1, 1, "a", 0, None)
    planned = str(owned.clips / "a_scene-0.mp4")
    assert file_of_clip(load_settings(), owned.dataset, clip) == planned


def test_a_copied_home_has_no_file_of_the_home_that_it_was_copied_from(
    owned: Owned, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    clip = ClipFile(1, 1, "a", 0, str(original / "clips/pets/a_scene-0.mp4"))
    assert file_of_clip(load_settings(), owned.dataset, clip) == clip.path
    original.mkdir()
    (original / "curate.db").touch()
    planned = str(owned.clips / "a_scene-0.mp4")
    assert file_of_clip(load_settings(), owned.dataset, clip) == planned


@pytest.mark.parametrize("link", [True, False])
def test_where_sources_lie_in_the_folder_of_clips_only_rows_name_files(
    home: Path, link: bool
) -> None:
    owned = make_owned(home, home / "clips/pets")
    with owned.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET path = NULL WHERE id = 2"))
        if link:
            (home.parent / "link").symlink_to(owned.sources)
            moved = {"old": "./clips/pets", "new": str(home.parent / "link")}
            connection.execute(text("UPDATE datasets SET root = :new"), moved)
            connection.execute(text("UPDATE videos SET path = replace(path, :old, :new)"), moved)
    assert not is_own_folder(owned.engine, owned.clips)
    found = set(files_of_videos(owned.engine, load_settings(), owned.dataset, [1], False))
    assert found == {f"{home}/clips/pets/a_scene-0.mp4", f"{home}/samples/0/1.zip"}
    assert list(named_as_clips(owned.engine, owned.dataset, owned.clips)) == []


def test_all_files_of_videos_but_sources(owned: Owned) -> None:
    found = set(files_of_videos(owned.engine, load_settings(), owned.dataset, [1, 2]))
    expected = {f"clips/pets/{s}_scene-{n}.mp4" for s in "ab" for n in (0, 1)}
    expected |= {"samples/0/1.zip", "samples/0/2.zip"}
    assert found == {f"{owned.home}/{name}" for name in expected}


def test_only_names_of_videos_of_the_dataset_are_taken(owned: Owned) -> None:
    for name in ("a_scene-9.mp4", "z_scene-0.mp4", "a_scene-0.mov", "b/a_scene-0.mp4"):
        (owned.clips / name).parent.mkdir(exist_ok=True)
        (owned.clips / name).write_bytes(bytes(SIZE))
    (found,) = named_as_clips(owned.engine, owned.dataset, owned.clips)
    names = {Path(file.path).name for file in found}
    assert names == {f"{s}_scene-{n}.mp4" for s in "abc" for n in (0, 1)} | {"a_scene-9.mp4"}
    (left,) = leftover_clips(owned.engine, owned.dataset, owned.clips)
    assert [file.path for file in left] == [str(owned.clips / "a_scene-9.mp4")]


def test_clips_at_a_url_lie_below_it(owned: Owned) -> None:
    settings = Settings(media="s3://bucket/clips")
    assert folder_of(settings, owned.dataset) == "s3://bucket/clips/pets"
    clip = ClipFile(1, 1, "a", 0, None)
    expected = "s3://bucket/clips/pets/a_scene-0.mp4"
    assert file_of_clip(settings, owned.dataset, clip) == expected
