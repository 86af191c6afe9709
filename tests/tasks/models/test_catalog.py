"""Where models are looked for, and what is known of those that are published."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from curate.tasks.models.catalog import AS_PUBLISHED, CATALOG, Converted, folder_of


def test_a_model_is_looked_for_by_name_or_path(tmp_path: Path) -> None:
    assert folder_of("a", tmp_path) == tmp_path / "a"
    assert folder_of("/b/a", tmp_path) == Path("/b/a")


def test_the_catalog_is_whole() -> None:
    """One model a kind, every file with the checksum of the published one, fixed revisions only."""
    published = {*get_args(Converted), *AS_PUBLISHED}
    assert sorted(m.kind for m in CATALOG.values()) == sorted(published)
    for model in CATALOG.values():
        assert model.licence
        for download in model.files:
            assert len(download.sha256) == 64
            assert not {"main", "master"} & set(download.url.split("/"))


def test_a_package_is_named_with_its_version_and_holds_every_file() -> None:
    for model in CATALOG.values():
        if model.package is None:
            continue
        name, version = model.package.requirement.split("==")
        archive = model.package.archive
        assert archive.name.startswith(f"{name.replace('-', '_')}-{version}")
        assert archive.name.endswith((".whl", ".tar.gz")) and archive.size
        assert len(archive.sha256) == 64
        assert all(file.member.endswith(file.name) and file.size for file in model.files)
