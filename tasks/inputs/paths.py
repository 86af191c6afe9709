"""Writes file names as text that a database can store.

A file name on Linux is bytes. Python writes bytes that are not UTF-8 (in the locale C: not ASCII)
as lone surrogates, which no database can store. `to_text` writes a byte that is not UTF-8 as
``%XX`` (upper-case hex, 80 to FF), and a literal ``%`` as ``%25`` where it would otherwise be read
as one of the two; every other name stays as it is. `to_path` is the exact inverse. URLs pass
through both unchanged.
"""

from __future__ import annotations

import os
import re

# protocols of what lies in a file, which a URL names behind ::
ARCHIVES = {"tar", "zip"}

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")
_LITERAL = re.compile(r"%(?=25|[89A-F][0-9A-F])")
_ESCAPED = re.compile(rb"%(25|[89A-F][0-9A-F])")


def is_url(path: str) -> bool:
    """Whether `path` is a URL (``s3://…``, ``simplecache::s3://…``) and not a local path."""
    return _URL.match(path) is not None


def last_link(url: str) -> str:
    """The URL at the end of a chain, where the bytes are: ``file:///a.zip`` of ``zip://b::/a.zip``."""
    link = url.rpartition("::")[2]
    return link if "://" in link else f"file://{link}"


def split_archive(url: str) -> tuple[str, str]:
    """What a URL names in an archive, and the archive: ``zip://b`` and ``::/a.zip``; else the URL
    and an empty text.
    """
    inner, chained, archive = url.partition("::")
    return (inner, chained + archive) if inner.partition("://")[0] in ARCHIVES else (url, "")


def to_text(path: str) -> str:
    """A local path as text without lone surrogates; a URL unchanged.

    The text is that of the bytes on disk in UTF-8, whatever the locale makes of them.
    """
    if is_url(path):
        return path
    if not path.isascii():
        try:
            raw = os.fsencode(path)
        except UnicodeEncodeError:  # a text of ours, in a locale that lacks its letters
            raw = path.encode("utf-8", "surrogateescape")
        path = raw.decode("utf-8", "surrogateescape")
    text = _LITERAL.sub("%25", path)
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def to_path(text: str) -> str:
    """The path for `open` that `to_text` wrote as this text; a URL unchanged."""
    if is_url(text) or (text.isascii() and "%" not in text):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), raw))


def from_table(path: str) -> str:
    """The path for `open` that a text file in UTF-8 names, read with surrogateescape."""
    return path if is_url(path) else os.fsdecode(path.encode("utf-8", "surrogateescape"))
