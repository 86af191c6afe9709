"""The version that hosts are compared by: the same for the same code, however it was installed, and
for no other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import curate
from curate import code_version, digest_of_code

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


CHANGES: dict[str, Callable[[Path], object]] = {
    "a comment": lambda copy: (copy / "db" / "moves.py").write_bytes(
        (copy / "db" / "moves.py").read_bytes() + b"# other"
    ),
    "a new file": lambda copy: (copy / "configs" / "new.py").touch(),
    "a file renamed": lambda copy: (copy / "db" / "moves.py").rename(copy / "db" / "shifts.py"),
    "two contents swapped": lambda copy: _swap(copy / "db" / "moves.py", copy / "db" / "saves.py"),
}


def _swap(one: Path, other: Path) -> None:
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


@pytest.mark.parametrize("change", CHANGES)
def test_other_code_has_another_version(copied: Path, change: str) -> None:
    assert digest_of_code(copied) == digest_of_code(PACKAGE)
    CHANGES[change](copied)
    assert digest_of_code(copied) != digest_of_code(PACKAGE)
