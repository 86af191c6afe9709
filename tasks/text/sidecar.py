"""Captions that lie beside a media file: clip.mp4 has clip.json or clip.txt."""

from __future__ import annotations

import json
from typing import Any

from curate.configs.errors import BadSidecar, Unreadable
from curate.tasks.inputs.paths import is_url

LARGEST = 16 << 20  # bytes


def sidecar_path(path: str, ending: str) -> str:
    """The path or URL beside `path`: its name without what follows the last dot, with the ending
    `.json` or `.txt`.

    Dots of folders, and one that begins a name, are none.
    """
    base, mark, query = path.partition("?") if is_url(path) else (path, "", "")
    folder, slash, name = base.rpartition("/")
    stem = name[: name.rindex(".")] if "." in name[1:] else name
    return folder + slash + stem + ending + mark + query


def read_sidecar(path: str, ending: str, key: str) -> str | None:
    """The caption beside a media file; None when there is no such file.

    Of JSON the text under `key`, which may be a list of texts (the first counts). Raises
    BadSidecar, Unreadable.
    """
    beside = sidecar_path(path, ending)
    content = _content(beside)
    if content is None:
        return None
    try:
        text = content.decode("utf-8-sig")
        found = _under(json.loads(text), key, beside) if ending == ".json" else text
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadSidecar(
            path=beside, why=f"it is no {ending[1:]} in UTF-8: {str(error)[:200]}"
        ) from None
    if not found.strip():
        raise BadSidecar(path=beside, why="its caption is empty")
    return found.strip()


def _under(loaded: Any, key: str, path: str) -> str:
    value = loaded.get(key) if isinstance(loaded, dict) else None
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        raise BadSidecar(path=path, why=f"it holds no text under {key!r}")
    return value


def _content(path: str) -> bytes | None:
    from curate.tasks.video.decode import open_file

    try:
        with open_file(path) as file:
            content = file.read(LARGEST + 1)
    except Unreadable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    if len(content) > LARGEST:
        raise BadSidecar(path=path, why=f"it is larger than {LARGEST >> 20} MB")
    return content
