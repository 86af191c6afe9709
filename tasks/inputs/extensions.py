"""Tells videos, still images and tables by their extensions."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from curate.tasks.inputs.paths import is_url

VIDEO_EXTENSIONS = (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
)  # fmt: skip
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TABLE_EXTENSIONS = (".csv", ".parquet")


def extension(path: str) -> str:
    """The extension of a path, or of the path of a URL, in lower case with its dot; '' for none."""
    name = urlsplit(path).path if is_url(path) else path
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  URLs, surrogates


def is_image(path: str) -> bool:
    """Whether the extension is that of a still image. All other files count as videos."""
    return extension(path) in IMAGE_EXTENSIONS


def is_media(path: str) -> bool:
    """Whether the extension is one that `find_inputs` picks out of a folder."""
    return extension(path) in VIDEO_EXTENSIONS + IMAGE_EXTENSIONS
