"""What `curate enqueue PATH` finds: files of a folder, a glob, a table of paths, or a URL."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from curate.configs.errors import ConfigError, NoInput, ServiceError
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.storage.remote import as_reading_error, asking, file_system

VIDEO_EXTENSIONS = (
    ".mp4",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".m4v",
    ".ts",
    ".m2ts",
    ".mts",
    ".mpg",
    ".mpeg",
)
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TABLE_EXTENSIONS = (".csv", ".parquet")

ABSENT = "absent"  # fingerprint of what cannot be looked at: it changes when the file appears


@dataclass(frozen=True)
class Input:
    """One file to enqueue.

    `path` is an absolute path as `curate.tasks.inputs.paths.to_text` writes it, or a URL; `relpath`
    is relative to the folder, table's folder or URL enqueued; of a file that lies elsewhere it is
    the same as `path`. `fingerprint` changes when the file does (size and time of change; for URLs
    size and what the store offers: ETag, checksum or time). `extra` holds the other columns of a
    table, safe for JSON.
    """

    path: str
    relpath: str
    fingerprint: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """What was passed over while finding: how many repeated paths, and folders that cannot be
    listed.
    """

    duplicates: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path as text, reason


def extension(path: str) -> str:
    """The extension in lower case with its dot, or ''; of a URL that of its path."""
    name = urlsplit(path).path if is_url(path) else path
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  surrogates and URLs are not for pathlib


def is_image(path: str) -> bool:
    """Whether the extension is that of a still picture. Everything else is taken for a video."""
    return extension(path) in IMAGE_EXTENSIONS


def is_media(path: str) -> bool:
    """Whether the extension is one that `find_inputs` picks out of a folder."""
    return extension(path) in VIDEO_EXTENSIONS + IMAGE_EXTENSIONS


def find_inputs(source: str, report: Report | None = None) -> Iterator[Input]:
    """The inputs of source, each path once, in an order that depends on names only.

    source is a folder (searched with its sub-folders), a file, a CSV or Parquet table with a column
    `path`, a glob, or a URL of any of these. From folders and globs come the names with a known
    extension that do not start with a dot, whatever they are: a link that leads nowhere or a folder
    called x.mp4 is an Input too, and fails in `probe` with its reason. A file named in a table or
    by itself may have any extension. What was passed over is added to `report`. Folders are not
    held in memory; of a table the paths are. Raises NoInput when there is nothing, ConfigError for
    a wrong table.
    """
    nothing = True
    for found in _find(source, report if report is not None else Report()):
        nothing = False
        yield found
    if nothing:
        looked_for = " ".join(VIDEO_EXTENSIONS + IMAGE_EXTENSIONS)
        raise NoInput(path=to_text(source), looked_for=f"looked for {looked_for}")


def _find(source: str, report: Report) -> Iterator[Input]:
    if source.startswith("file://"):
        source = source.removeprefix("file://")
    if extension(source) in TABLE_EXTENSIONS and not _is_pattern(source):
        from curate.tasks.inputs.tables import read_table

        return _once(read_table(source), report)
    if is_url(source):
        return _find_remote(source)
    if os.path.isdir(source):  # noqa: PTH112
        return _Walk(source, report).inputs()
    if os.path.lexists(source):
        return iter([local_input(source, os.path.dirname(os.path.abspath(source)))])  # noqa: PTH100, PTH120
    return _find_glob(source, report)


def _once(inputs: Iterator[Input], report: Report) -> Iterator[Input]:
    seen: set[str] = set()
    for found in inputs:
        report.duplicates += found.path in seen
        if found.path not in seen:
            seen.add(found.path)
            yield found


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.lexists(source)


def local_input(path: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of a local path, whether it exists or not, found below the folder base or
    elsewhere.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  keeps links, unlike resolve
    relative = absolute.removeprefix(base.rstrip("/") + "/")
    return Input(to_text(absolute), to_text(relative), _fingerprint(absolute), extra or {})


def _fingerprint(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ABSENT
    return f"{found.st_size}-{found.st_mtime_ns}"


class _Walk:
    """Walks a folder without holding more than one folder's names for each level.

    A linked folder is entered only when its target lies outside the tree, and only once: what lies
    inside is found under its own name, so links can neither loop nor multiply.
    """

    def __init__(self, root: str, report: Report) -> None:
        self._base = os.path.abspath(root)  # noqa: PTH100
        self._real = os.path.realpath(root)
        self._report = report
        self._linked: set[str] = {self._real}

    def inputs(self) -> Iterator[Input]:
        """Inputs in the order of their names, a folder's content at the place of its name."""
        return self._folder(self._base, outside=False)

    def _folder(self, folder: str, outside: bool) -> Iterator[Input]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError as error:
            self._report.unreadable.append((to_text(folder), error.strerror or str(error)))
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if is_media(entry.name):
                yield local_input(entry.path, self._base)
            if self._enter(entry, outside):
                yield from self._folder(entry.path, outside or entry.is_symlink())

    def _enter(self, entry: os.DirEntry[str], outside: bool) -> bool:
        try:
            if not entry.is_dir():
                return False
        except OSError:  # a link to itself
            return False
        if not outside and not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if target in self._linked or f"{target}/".startswith(f"{self._real}/"):
            return False
        self._linked.add(target)
        return True


def _find_glob(pattern: str, report: Report) -> Iterator[Input]:
    """Files and folders that match; relpath is relative to the folder before the first special
    character.
    """
    fixed = pattern[: min((pattern.find(c) for c in "*?[" if c in pattern), default=0)]
    base = os.path.abspath(os.path.dirname(fixed) or ".")  # noqa: PTH100, PTH120
    for path in sorted(set(glob.glob(pattern, recursive=True))):  # noqa: PTH207
        if is_media(path):
            yield local_input(path, base)


def _find_remote(url: str) -> Iterator[Input]:
    system, path = file_system(url)
    if glob.has_magic(path):
        infos = _match_remote(url, system, path)
        fixed = url[: min(url.find(c) for c in "*?[" if c in url)].rpartition("/")[0]
        return (_listed_url(url, fixed, system, info) for info in infos)
    with asking(url):
        is_folder = not is_media(url) and system.isdir(path)
        is_file = is_media(url) or (not is_folder and system.exists(path))
    if is_folder:
        return _walk_remote(url, system, path)
    return iter([named_url(url, url.rpartition("/")[0])] if is_file else [])


def _match_remote(url: str, system: Any, pattern: str) -> list[dict[str, Any]]:
    with asking(url):
        try:
            found = system.glob(pattern, detail=True)
        except (
            ValueError
        ) as error:  # `a**` is refused by fsspec, which takes ** only as a whole name
            raise ConfigError(source=url, why=error) from None
    names = [n for n in sorted(found) if is_media(n) and not n.rpartition("/")[2].startswith(".")]
    return [found[name] for name in names if found[name]["type"] == "file"]


def _walk_remote(url: str, system: Any, path: str) -> Iterator[Input]:
    """Files below a prefix in the order of their names; folder listings are held one at a time."""
    with asking(url):
        listing = sorted(system.ls(path, detail=True), key=lambda info: info["name"])
    for info in listing:
        name = info["name"].rstrip("/")
        if name.rpartition("/")[2].startswith(".") or name == path.rstrip("/"):
            continue
        if info["type"] == "directory":
            yield from _walk_remote(url, system, name)
        elif is_media(name):
            yield _listed_url(url, url, system, info)


def named_url(url: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of one URL, whether it exists or not, below the URL base or elsewhere.

    Raises ServiceError when its store does not answer or refuses this host.
    """
    system, path = file_system(url)
    try:
        fingerprint = _remote_fingerprint(system.info(path))
    except Exception as error:  # every store's client raises errors of its own
        problem = as_reading_error(url, error)
        if isinstance(problem, ServiceError):
            raise problem from error
        fingerprint = ABSENT
    return Input(url, _below(url, base), fingerprint, extra or {})


def _listed_url(source: str, base: str, system: Any, info: dict[str, Any]) -> Input:
    chain, linked, _ = source.rpartition("::")
    full = chain + linked + system.unstrip_protocol(info["name"])
    root = system._strip_protocol(base.rpartition("::")[2])
    relpath = info["name"].removeprefix(root.rstrip("/") + "/")
    return Input(full, to_text(relpath), _remote_fingerprint(info))


def _below(url: str, base: str) -> str:
    relpath = url.removeprefix(base.rstrip("/") + "/")
    return relpath if relpath == url else to_text(relpath.partition("?")[0])


_STAMPS = (
    "ETag",
    "etag",
    "md5Hash",
    "checksum",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
)


def _remote_fingerprint(info: dict[str, Any]) -> str:
    stamp = next((info[key] for key in _STAMPS if info.get(key) is not None), "")
    return f"{info.get('size')}-{stamp}"
