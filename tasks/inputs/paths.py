"""File names as text a database can hold.

A file name on Linux is bytes; Python shows bytes that are not UTF-8 as lone surrogates, which no
database takes. `to_text` writes such a byte as ``%XX`` (upper-case hex, 80 to FF) and a literal
``%`` as ``%25`` only where it would otherwise be read as one of the two; every other name stays as
it is. `to_path` undoes it exactly. URLs pass through both unchanged.
"""

from __future__ import annotations

import os
import re

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")
_LITERAL = re.compile(r"%(?=25|[89A-F][0-9A-F])")
_ESCAPED = re.compile(rb"%(25|[89A-F][0-9A-F])")


def is_url(path: str) -> bool:
    """Whether path is a URL (``s3://…``, ``memory://…``, ``simplecache::s3://…``) and not a local
    name.
    """
    return _URL.match(path) is not None


def to_text(path: str) -> str:
    """A local path, as Python gives it, as text without lone surrogates; a URL as it is."""
    if is_url(path):
        return path
    shown = _LITERAL.sub("%25", path)
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in shown)


def to_path(text: str) -> str:
    """The path that `to_text` made text of: what to give to `open`. A URL as it is."""
    if is_url(text) or "%" not in text:
        return text
    raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), os.fsencode(text))
    return os.fsdecode(raw)
