"""Reads captions from files beside a media file: clip.mp4 has clip.json or clip.txt.

The module imports av, through `decode`, so stages import it only when they run.
"""

from __future__ import annotations

import json
from typing import Any

from curate.configs.row_errors import BadSidecar, Unreadable
from curate.tasks.inputs.paths import is_url
from curate.tasks.video.decode import open_file

LARGEST = 16 << 20  # bytes


def sidecar_path(path: str, ending: str) -> str:
    """The path or URL beside `path`: its name up to the last dot, then the ending, such as `.txt`.

    Dots in the names of folders, and a dot that begins a name, do not count.
    """
    base, mark, query = path.partition("?") if is_url(path) else (path, "", "")
    folder, slash, name = base.rpartition("/")
    stem = name[: name.rindex(".")] if "." in name[1:] else name
    return folder + slash + stem + ending + mark + query


def read_sidecar(path: str, ending: str, key: str) -> str | None:
    """The caption in the file beside a media file; None when there is no such file.

    In JSON it is the text under `key`, or the first one of a list of texts. Raises BadSidecar,
    Unreadable.
    """
    sidecar = sidecar_path(path, ending)
    content = _content(sidecar)
    if content is None:
        return None
    try:
        caption: Any = content.decode("utf-8-sig")
        if ending == ".json":
            values = json.loads(caption)
            caption = values.get(key) if isinstance(values, dict) else None
    except (ValueError, RecursionError) as error:
        why = f"it is no {ending[1:]} in UTF-8: {str(error)[:200]}"
        raise BadSidecar(path=sidecar, why=why) from None
    if isinstance(caption, list) and caption:
        caption = caption[0]
    if not isinstance(caption, str):
        raise BadSidecar(path=sidecar, why=f"it holds no text under {key!r}")
    if not caption.strip():
        raise BadSidecar(path=sidecar, why="its caption is empty")
    return caption.strip()


def _content(path: str) -> bytes | None:
    """The bytes of a file or URL; None if it does not exist. Raises BadSidecar, Unreadable."""
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
