"""Which files of a dataset are curate's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.cli.shared.own_files import (
    files_of_clip,
    files_of_videos,
    folder_of,
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
        (None, False),
        ("/old/media/pets/a_scene-0.mp4", True),
        ("s3://bucket/pets/a_scene-0.mp4", True),
        ("/old/media/other/a_scene-0.mp4", False),
        ("/old/media/pets/a_scene-1.mp4", False),
        ("/videos/a.png", False),
    ],
)
def test_a_file_elsewhere_is_a_clips_own_if_it_ends_as_clips_do(
    owned: Owned, path: str | None, own: bool
) -> None:
    clip = ClipFile(1, 1, "a", 0, path)
    planned = str(owned.clips / "a_scene-0.mp4")
    expected = [planned, path] if own else [planned]
    assert files_of_clip(load_settings(), owned.dataset, clip) == expected


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
    left = list(leftover_clips(owned.engine, owned.dataset, owned.clips))
    assert left == [[str(owned.clips / "a_scene-9.mp4")]]


def test_clips_at_a_url_lie_below_it(owned: Owned) -> None:
    settings = Settings(media="s3://bucket/clips")
    assert folder_of(settings, owned.dataset) == "s3://bucket/clips/pets"
    clip = ClipFile(1, 1, "a", 0, None)
    expected = ["s3://bucket/clips/pets/a_scene-0.mp4"]
    assert files_of_clip(settings, owned.dataset, clip) == expected
