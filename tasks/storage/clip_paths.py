"""Where the file of a clip goes, and under which name."""

from __future__ import annotations

import hashlib
import os

from curate.tasks.inputs.paths import is_url, to_path, to_text
from curate.tasks.storage.locations import Location, below

# bytes of a file name that may come from the source; file systems take 255 in all
_LONGEST_NAME = 200


def clip_path(root: Location, stem: str, index: int) -> Location:
    """Where a clip goes below root.

    stem is its video's column clip_stem, which no other video of the dataset has. A part of a path
    that is not UTF-8 takes its text form and a `~`, so that a CSV can hold every clip's path; a
    name that is too long ends in its hash.
    """
    if is_url(stem):
        scheme, _, rest = stem.rpartition("::")[2].partition("://")
        parts = [f"_{scheme}", *rest.split("/")]
    else:
        names = to_path(stem).split("/")
        is_utf8 = [name.encode("utf-8", "replace").decode() == name for name in names]
        parts = [n if ok else f"{to_text(n)}~" for n, ok in zip(names, is_utf8, strict=True)]
        if stem.startswith("/"):
            parts[0] = "_root"
    *folders, name = [f"_{p}" if p in ("", ".", "..") else p for p in parts]
    if isinstance(root, str):  # fsspec takes :: apart
        *folders, name = [p.replace("::", "%3A%3A~") for p in (*folders, name)]
    raw = os.fsencode(name)
    if len(raw) > _LONGEST_NAME:
        beginning = raw[: _LONGEST_NAME - 17].decode("utf-8", "ignore")
        name = f"{beginning}~{hashlib.sha256(raw).hexdigest()[:16]}"
    return below(root, *folders, f"{name}_scene-{index}.mp4")
