"""Tells videos, still images and tables by their extensions."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from curate.tasks.inputs.paths import is_url, split_archive

# Not .mod and .rec: they are more often something else (modules of Go and Fortran, music). Nor .avs
# (scripts of AviSynth), .dat, .ps (PostScript) and .vc (a virtual card).
VIDEO_EXTENSIONS = (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".3g2", ".3gp", ".3gpp", ".amv", ".apng", ".asf", ".bik", ".dav", ".dif", ".divx", ".dv",
    ".dvr-ms", ".evo", ".f4v", ".flc", ".fli", ".flv", ".gif", ".gxf", ".insv", ".ismv", ".lrv",
    ".m2t", ".mj2", ".mk3d", ".mqv", ".mxf", ".nsv", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb",
    ".smk", ".swf", ".tod", ".tp", ".trp", ".vob", ".vro", ".wmv", ".wtv",
    # one stream without a container, or nearly so
    ".261", ".263", ".264", ".265", ".266", ".avc", ".h261", ".h263", ".h264", ".h265", ".h266",
    ".hevc", ".ivf", ".m1v", ".m2p", ".m2v", ".mjpeg", ".mjpg", ".mp2v", ".mp4v", ".mpe", ".mpv",
    ".obu", ".vc1", ".vvc", ".y4m",
)  # fmt: skip
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TABLE_EXTENSIONS = (".csv", ".parquet")


def extension(path: str) -> str:
    """The extension of a path, or of the path of a URL, in lower case with its dot; '' for none."""
    if is_url(path):
        name, archive = split_archive(path)
        path = name if archive else urlsplit(path).path
    return os.path.splitext(path)[1].lower()  # noqa: PTH122  URLs, surrogates


def is_image(path: str) -> bool:
    """Whether the extension is that of a still image. All other files count as videos."""
    return extension(path) in IMAGE_EXTENSIONS


def suffix(name: str) -> str:
    """The extension that people know a file by; '' for none, a number or what is no word."""
    found = extension(name)
    known = found[1:].isalnum() and not found[1:].isdecimal() and found.isprintable()
    return found if known and len(found) <= 12 else ""


def is_media(path: str) -> bool:
    """Whether the extension is one that `find_inputs` picks out of a folder."""
    return extension(path) in VIDEO_EXTENSIONS + IMAGE_EXTENSIONS
