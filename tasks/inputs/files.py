"""One file to enqueue: its path or URL, and the fingerprint that shows whether it has changed."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.configs.errors import ConfigError, CurateError, NoSuchFile, ServiceError
from curate.configs.names import did_you_mean
from curate.configs.schema import ABSENT
from curate.tasks.inputs.extensions import is_media, suffix
from curate.tasks.inputs.paths import is_url, split_archive, to_path, to_text
from curate.tasks.storage.remote import (
    as_reading_error,
    as_store_error,
    file_system,
    has_own_host,
    is_missing,
)

# keys of fsspec's `info` that show whether a file has changed, best first
_VERSIONS = (
    "ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "created",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One file to enqueue.

    `path` is an absolute path as `curate.tasks.inputs.paths.to_text` writes it, or a URL. `relpath`
    is relative to the enqueued folder or URL or to the table's folder; of a file elsewhere it is
    equal to `path`. `fingerprint` changes when the file does: it is the size with the time of
    change, or for a URL with what the store offers (ETag, checksum or time). `extra` holds the
    other columns of a table, as values that JSON can hold. One that is `only_known` joins no
    dataset: it counts where its path is a video of the dataset already.
    """

    path: str
    relpath: str
    fingerprint: str
    extra: dict[str, Any] = field(default_factory=dict)
    only_known: bool = False


@dataclass(frozen=True)
class Search:
    """How folders are searched.

    `pictures`: still images beside videos join. `own`: folders, files and URLs of curate's own, as
    absolute paths, that are neither entered on the way nor counted.
    """

    pictures: bool = False
    own: frozenset[str] = frozenset()


@dataclass
class PassedOver:
    """What a search left out, or let in without being asked.

    `duplicates` counts repeated paths. `unreadable` has the folders that cannot be listed, each
    with the reason, and `own` those of curate's own files. `others` counts the files of no known
    kind by their suffix ('' for none), and `beside` those of them that lie beside a video or image
    of the same name. `only_pictures` names the sources without a video, whose pictures join.
    """

    duplicates: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)
    only_pictures: list[str] = field(default_factory=list)

    def count_others(self, paths: Iterable[str], listing: Iterable[str]) -> None:
        """Count files of no known kind; `listing` has the paths of all files beside them."""
        stems: set[str] | None = None
        for path in paths:
            if stems is None:
                stems = {_stem(one) for one in listing if is_media(one)}
            self.others[suffix(path)] += 1
            self.beside[suffix(path)] += _stem(path) in stems

    def skipped(self, read_beside: Iterable[str] = ()) -> dict[str, int]:
        """Files of no known kind by suffix, the most frequent first.

        A file beside a video, of a suffix in `read_beside`, is not counted: a stage reads it.
        """
        counts = self.others - Counter({s: self.beside[s] for s in read_beside})
        order = sorted(counts, key=lambda s: (-counts[s], s == "", s))
        return {name: counts[name] for name in order}


def skipped_text(skipped: Mapping[str, int], most: int = 5) -> str:
    """`4 files skipped: 3 .txt, 1 without`; no more than `most` suffixes; '' for none."""
    if not skipped:
        return ""
    total = sum(skipped.values())
    parts = [f"{count} {name or 'without'}" for name, count in list(skipped.items())[:most]]
    rest = sum(list(skipped.values())[most:])
    parts += [f"{rest} others"] if rest else []
    return f"{total} file{'' if total == 1 else 's'} skipped: {', '.join(parts)}"


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]  # noqa: PTH122  perhaps a URL's


def no_such_file(path: str) -> NoSuchFile:
    """The error of a path where nothing is, with the names beside it that come near."""
    folder, name = os.path.split(path.rstrip("/"))
    try:
        near = did_you_mean(name, os.listdir(folder or "."))  # noqa: PTH208  names alone
    except OSError:
        near = ""
    return NoSuchFile(path=to_text(path), near=to_text(near))


def local_input(path: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of a local path, existing or not; relpath counts from the folder `base`."""
    absolute = os.path.abspath(path)  # noqa: PTH100  keeps links, unlike resolve
    relative = absolute.removeprefix(base.rstrip("/") + "/")
    text = to_text(absolute)
    return Input(text, to_text(relative), fingerprint_now(text), extra or {})


def url_input(url: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of one URL, existing or not; relpath counts from the URL `base`.

    Raises ServiceError when its store does not answer or refuses this host.
    """
    fingerprint = _of_url(url)
    inner, _ = split_archive(url)
    relpath = inner.removeprefix(base.rstrip("/") + "/")
    relpath = url if relpath == inner else to_text(relpath.partition("?")[0])
    return Input(url, relpath, fingerprint, extra or {})


def url_fingerprint(info: Mapping[str, Any]) -> str:
    """The fingerprint of a file, made of its fsspec `info`."""
    version = next((info[key] for key in _VERSIONS if info.get(key) is not None), "")
    return f"{info.get('size')}-{version}"


def fingerprint_now(path: str) -> str:
    """The fingerprint that the file of an `Input.path` has now; ABSENT when it cannot be read.

    Raises ServiceError when the store of a URL does not answer or refuses this host.
    """
    if is_url(path):
        return _of_url(path)
    try:
        status = os.stat(to_path(path))  # noqa: PTH116
    except OSError:
        return ABSENT
    return f"{status.st_size}-{status.st_mtime_ns}"


# where disks are mounted, each in a folder that may come and go with it
_MOUNTED_IN = re.compile(r"/|/mnt|/Volumes|(/run)?/media(/[^/]+)?")


def is_gone(path: str, relpath: str = "") -> bool:
    """Whether the file of an `Input` is not there any more, though its disk is mounted.

    Where a disk is not mounted, its folder is empty or not there. So a file in a folder is not gone
    while the folder that was enqueued (`path` without `relpath`) is empty or not there, nor while
    the nearest folder of the file that is there is empty, or one that disks are mounted in. Raises
    ServiceError as `is_absent`.
    """
    if not is_absent(path):
        return False
    if is_url(path):
        return True
    enqueued = path.removesuffix(f"/{relpath}")
    if enqueued != path and not _holds_something(to_path(enqueued)):
        return False
    own_folder = folder = os.path.dirname(to_path(path))  # noqa: PTH120
    while folder and not os.path.isdir(folder):  # noqa: PTH112
        folder = os.path.dirname(folder)  # noqa: PTH120
    if folder != own_folder and _MOUNTED_IN.fullmatch(folder):
        return False
    return _holds_something(folder)


def is_absent(path: str) -> bool:
    """Whether it is certain that there is no file at an `Input.path` now.

    False for a URL of a web server and the like: one that fails looks like one without the file.
    Raises ServiceError where the disk or store does not answer, or refuses.
    """
    if is_url(path):
        if has_own_host(path):
            return False
        try:
            _info(path)
        except CurateError:
            raise
        except Exception as error:  # every store's client raises errors of its own
            if is_missing(error):
                return True
            raise as_store_error(path, error) from error
        return False
    try:
        os.stat(to_path(path))  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise ServiceError(what=f"The file {path}", why=error.strerror or error) from None
    return False


def _holds_something(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def is_same_file(before: str, now: str) -> bool:
    """Whether two fingerprints may be of one file: what both tell of it is equal.

    A listing of a store may tell less than a question about one file.
    """
    pairs = zip(before.partition("-")[::2], now.partition("-")[::2], strict=True)
    unknown = ("", "None")
    return before == now or (
        ABSENT not in (before, now)
        and all(a == b or a in unknown or b in unknown for a, b in pairs)
    )


def _info(url: str) -> Mapping[str, Any]:
    system, path = file_system(url)
    system.invalidate_cache(path)
    return system.info(path)  # type: ignore[no-any-return]


def _of_url(url: str) -> str:
    try:
        return url_fingerprint(_info(url))
    except ConfigError:
        raise
    except Exception as error:  # every store's client raises errors of its own
        problem = as_reading_error(url, error)
        if isinstance(problem, ServiceError):
            raise problem from error
        return ABSENT
