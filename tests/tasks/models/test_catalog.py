"""Where models are looked for, and what is known of those that are published."""

from __future__ import annotations

from pathlib import Path

from curate.tasks.models.catalog import CATALOG, folder_of


def test_a_model_is_looked_for_by_name_or_path(tmp_path: Path) -> None:
    assert folder_of("a", tmp_path) == tmp_path / "a"
    assert folder_of("/b/a", tmp_path) == Path("/b/a")


def test_the_catalog_is_whole() -> None:
    """One model a kind, every file with the checksum of the published one, fixed revisions only."""
    assert sorted(m.kind for m in CATALOG.values()) == ["aesthetic", "clip", "lpips", "nsfw"]
    for model in CATALOG.values():
        assert model.licence
        for download in model.files:
            assert len(download.sha256) == 64
            assert not {"main", "master"} & set(download.url.split("/"))
