"""Which language a text is in, by py3langid: 97 languages, its model in its wheel, no network.

Of langid, py3langid and lingua it is the lightest (5 MB on disk, 35 MB in memory) and the fastest;
on captions of one sentence it found as many languages as langid and more than lingua in its light
mode. The package is imported when it is first asked.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from curate.configs.errors import PackageMissing


def check_installed() -> None:
    """Raise PackageMissing when py3langid is not installed."""
    _package()


@cache
def _package() -> Any:
    try:
        import py3langid
    except ImportError:
        install = 'pip install "curate[captions]"'
        raise PackageMissing(
            what="Telling languages", package="py3langid", install=install
        ) from None
    return py3langid


def languages(text: str) -> list[str]:
    """ISO 639-1 codes of all known languages, the likeliest first; none without a letter."""
    if not any(c.isalpha() for c in text):
        return []
    return [str(code) for code, _ in _package().rank(text)]


@cache
def known() -> frozenset[str]:
    """The codes of all languages that can be told."""
    return frozenset(languages("a"))
