"""Turns folders of raw videos into clean, captioned clips for training text-to-video models."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.api import open_home

    open = open_home

# the name in pyproject.toml; a distribution called curate is a stranger's, or ours of before 0.2
DISTRIBUTION = "curate-t2v"

# the version of code that was never installed, or comes from a checkout or archive without tags;
# the same as fallback_version in pyproject.toml
FALLBACK_VERSION = "0.1.0"

__version__: str  # __getattr__ computes it on first use: importlib.metadata takes 10 ms


def __getattr__(name: str) -> Any:
    if name == "open":  # loaded when it is used: commands need no more than the version
        from curate.api import open_home

        return open_home
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    global __version__
    __version__ = installed_version()
    return __version__


def installed_version() -> str:
    """The version of the last tag when curate was installed; FALLBACK_VERSION if there was none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # the folder is only on PYTHONPATH
        return FALLBACK_VERSION


@cache
def code_version() -> str:
    """The version, then `+` and 8 hex digits of a hash of the code.

    Hosts with the same code have the same digits; `__version__` alone changes only at a release.
    Computed once, in 10 ms.
    """
    from curate import __version__

    return f"{__version__}+{digest_of_code(Path(__file__).parent)}"


def digest_of_code(folder: Path) -> str:
    """The first 8 hex digits of a SHA-256 of the names and contents of .py files below a folder."""
    # the package's folders are links in a checkout, which rglob follows only since Python 3.13
    files = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
    ]
    digest = hashlib.sha256()
    for name, file in sorted(
        (file.relative_to(folder).as_posix(), file) for file in files if file.suffix == ".py"
    ):
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:8]
