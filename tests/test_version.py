"""The version that a tag gives, and the digest that tells the same code from other code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import setuptools_scm

import curate
from curate import FALLBACK_VERSION, code_version, digest_of_code

ROOT = Path(__file__).parent.parent
SCM = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]
PACKAGE = Path(curate.__file__).parent
ASK = "import curate; print(curate.code_version())"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package as it is when installed: no links, other times, and what Python adds."""
    copy = tmp_path / "curate"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "cli" / "__pycache__").mkdir()
    (copy / "cli" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    return copy


def version_of(copy: Path) -> str:
    """What another host with this copy says of itself."""
    environment = {**os.environ, "PYTHONPATH": str(copy.parent)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_same_code_has_the_same_version(copied: Path) -> None:
    assert re.fullmatch(re.escape(curate.__version__) + r"\+[0-9a-f]{8}", code_version())
    assert version_of(copied) == code_version()


def add_comment(copy: Path) -> None:
    with (copy / "configs" / "settings.py").open("a") as file:
        file.write("# other")


def swap_contents(copy: Path) -> None:
    one, other = copy / "configs" / "settings.py", copy / "configs" / "pipeline.py"
    contents = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(contents)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a comment": add_comment,
    "a new file": lambda copy: (copy / "configs" / "new.py").touch(),
    "a file renamed": lambda copy: (copy / "configs" / "settings.py").rename(copy / "other.py"),
    "two contents swapped": swap_contents,
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_code_has_another_version(copied: Path, change: str) -> None:
    assert digest_of_code(copied) == digest_of_code(PACKAGE)
    CHANGES[change](copied)
    assert digest_of_code(copied) != digest_of_code(PACKAGE)


def scm_version(folder: Path) -> str:
    """The version that an installation of the folder gets."""
    return str(setuptools_scm.get_version(root=str(folder), **SCM))


def test_the_version_is_that_of_the_last_tag(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    assert scm_version(tmp_path) == FALLBACK_VERSION
    git("tag", "v0.7.0")
    assert scm_version(tmp_path) == "0.7.0"
    git("commit", "--allow-empty", "-m", "second")
    assert scm_version(tmp_path) == "0.7.0"


def test_without_git_the_version_is_the_fallback(tmp_path: Path) -> None:
    assert scm_version(tmp_path) == FALLBACK_VERSION


def test_the_version_is_asked_of_our_own_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """One called curate is a stranger's, or ours of before the name."""
    installed = {"curate": "0.15", "curate-t2v": "3.2.1"}
    monkeypatch.setattr("importlib.metadata.version", installed.__getitem__)
    assert curate.installed_version() == "3.2.1"


def test_a_copy_that_was_never_installed_has_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert curate.installed_version() == FALLBACK_VERSION
