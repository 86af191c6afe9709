"""The root of a dataset: the folder, table or URL that its videos come from."""

from __future__ import annotations

import glob
import os

from curate.tasks.inputs.extensions import is_media
from curate.tasks.inputs.paths import is_url, to_text


def root_of(source: str) -> str:
    """The root of a source: the source itself, or the folder of a media file or a glob."""
    path = source.removeprefix("file://")
    if glob.has_magic(path) and not os.path.lexists(path):
        path = os.path.dirname(path[: min(path.find(c) for c in "*?[" if c in path)]) or "."  # noqa: PTH120
    elif is_media(path) and not os.path.isdir(path):  # noqa: PTH112
        path = os.path.dirname(path) or "."  # noqa: PTH120
    # abspath, unlike resolve, keeps links
    return path.rstrip("/") if is_url(path) else to_text(os.path.abspath(path))  # noqa: PTH100
