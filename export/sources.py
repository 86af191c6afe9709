"""Source files: their SHA-256, and where those of a manifest are now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from curate.configs.errors import NoSuchFile
from curate.configs.row_errors import MediaError
from curate.configs.schema import ABSENT
from curate.tasks.inputs.files import fingerprint_now, is_same_file
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.storage.remote import file_system, store_errors

BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A source file as a manifest tells of it; `path` is where it was."""

    sha256: str
    size: int
    path: str


@dataclass(frozen=True)
class Found:
    """Where a source is now; `same`: byte by byte, else only by its name."""

    path: str
    same: bool


def sha256_of(path: str) -> str:
    """The SHA-256 of a source by its path, as the database stores it, or its URL. Raises as
    `open_file` does.
    """
    from curate.tasks.video.decode import open_file

    found = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def find_sources(
    wanted: Mapping[str, Source], places: Iterable[str], report: Callable[[int, int], None]
) -> dict[str, Found]:
    """Where the wanted sources, by SHA-256, are in folders and files or below URLs.

    A file of the right size is read; of one that is not there, a file of its name is named instead,
    the one with most folders of the old path. `report` is called with the sources found so far and
    how many there are. Raises NoSuchFile, ServiceError.
    """
    sizes = {source.size for source in wanted.values()}
    by_stem: dict[str, list[Source]] = {}
    for source in wanted.values():
        by_stem.setdefault(_ends(source.path)[0], []).append(source)
    found: dict[str, Found] = {}
    nearest: dict[str, tuple[tuple[int, bool], str]] = {}
    for path, size in _files(places):
        if len(found) == len(wanted):
            break
        if size in sizes:
            try:
                sha256 = sha256_of(path)
            except MediaError:  # nobody may read it, or it is gone
                continue
            if sha256 in wanted and sha256 not in found:
                found[sha256] = Found(path, same=True)
                report(len(found), len(wanted))
                continue
        for source in by_stem.get(_ends(path)[0], ()):
            near = _alike(path, source.path)
            if near > nearest.get(source.sha256, ((0, False), ""))[0]:
                nearest[source.sha256] = near, path
    others = {sha256: Found(path, same=False) for sha256, (_, path) in nearest.items()}
    return others | found


def _ends(path: str) -> list[str]:
    """The parts of a path from its end, the last one without its ending."""
    name, *folders = reversed(PurePosixPath(path).parts)
    return [os.path.splitext(name)[0], *folders]  # noqa: PTH122


def _alike(one: str, other: str) -> tuple[int, bool]:
    """How many parts of two paths are the same, from their ends, and whether their endings are."""
    same = 0
    for a, b in zip(_ends(one), _ends(other), strict=False):
        if a != b:
            break
        same += 1
    return same, PurePosixPath(one).suffix == PurePosixPath(other).suffix


def _files(places: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The files at places, as the database stores paths, each with its bytes."""
    for place in places:
        if is_url(place):
            with store_errors(place):
                system, path = file_system(place)
                listing = system.find(path, detail=True)
            for name, info in sorted(listing.items()):
                yield system.unstrip_protocol(name), int(info.get("size") or -1)
        elif os.path.isfile(place):  # noqa: PTH113  names that are not UTF-8
            yield to_text(os.path.abspath(place)), os.stat(place).st_size  # noqa: PTH100, PTH116
        elif os.path.isdir(place):  # noqa: PTH112
            yield from _files_in(os.path.abspath(place))  # noqa: PTH100
        else:
            raise NoSuchFile(path=to_text(place), near="")


def _files_in(folder: str) -> Iterator[tuple[str, int]]:
    for above, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(above, name)  # noqa: PTH118
            try:
                yield to_text(path), os.stat(path).st_size  # noqa: PTH116
            except OSError:  # a link to nothing
                continue


def trouble_of(path: str, fingerprint: str) -> str:
    """Why a source cannot be read as it was, said of clips; empty: it is the same file as by its
    fingerprint then. Raises ServiceError.
    """
    now = fingerprint_now(path)
    if now == ABSENT:
        return "are left out, for their source is gone"
    if not is_same_file(fingerprint, now):
        return "are left out, for their source is another file than it was"
    return ""
