"""The paths and names of the files of clips, and of samples."""

from __future__ import annotations

import hashlib
import os

from curate.tasks.inputs.paths import is_url, last_link, split_archive, to_path, to_text
from curate.tasks.storage.locations import Location, LocationT, below

# bytes of a file name that may come from the source; file systems allow 255 in all
_LONGEST_NAME = 200


def clip_path(root: Location, stem: str, index: int) -> Location:
    """The path or URL of a clip's file below `root`.

    `stem` is the column clip_stem of its video, unique within the dataset. A part of a path that is
    not UTF-8 is written in its text form with a `~`, so that a CSV can hold every clip's path; a
    name that is too long ends in its hash.
    """
    if is_url(stem):
        inner, archive = split_archive(stem)
        scheme, _, rest = last_link(archive or inner).partition("://")
        parts = [f"_{scheme}", *rest.split("/")]
        parts += inner.partition("://")[2].split("/") if archive else []
    else:
        names = to_path(stem).split("/")
        is_utf8 = [name.encode("utf-8", "replace").decode() == name for name in names]
        parts = [n if ok else f"{to_text(n)}~" for n, ok in zip(names, is_utf8, strict=True)]
        if stem.startswith("/"):
            parts[0] = "_root"
    *folders, name = [f"_{p}" if p in ("", ".", "..") else p for p in parts]
    if isinstance(root, str):  # fsspec splits URLs at ::
        *folders, name = [p.replace("::", "%3A%3A~") for p in (*folders, name)]
    raw = os.fsencode(name)
    if len(raw) > _LONGEST_NAME:
        beginning = raw[: _LONGEST_NAME - 17].decode("utf-8", "ignore")
        name = f"{beginning}~{hashlib.sha256(raw).hexdigest()[:16]}"
    return below(root, *folders, f"{name}_scene-{index}.mp4")


def archive(root: LocationT, video_id: int) -> LocationT:
    """The path or URL of a video's archive of samples."""
    return below(root, str(video_id // 1000), f"{video_id}.zip")
