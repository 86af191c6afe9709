"""The paths of clips of sources at URLs."""

from __future__ import annotations

from pathlib import Path

from curate.tasks.storage.clip_paths import clip_path


def test_clips_of_what_lies_in_archives_have_paths_of_their_own() -> None:
    stems = ("zip://b/c.mp4::/x/a", "zip://b/d.mp4::/x/a", "zip://b/c.mp4::s3://x/a")
    paths = [clip_path(Path("/clips"), stem, 0) for stem in stems]
    assert len(set(paths)) == 3
    assert str(paths[0]) == "/clips/_file/_/x/a/b/c.mp4_scene-0.mp4"
    plain = clip_path(Path("/clips"), "simplecache::s3://x/a", 0)
    assert str(plain) == "/clips/_s3/x/a_scene-0.mp4"
