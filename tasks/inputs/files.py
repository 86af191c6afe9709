"""One file to enqueue: its path or URL, and the fingerprint that shows whether it has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.configs.errors import ServiceError
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.remote import as_reading_error, file_system

ABSENT = "absent"  # fingerprint of a file that is not there: it changes when the file appears

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
    other columns of a table, as values that JSON can hold.
    """

    path: str
    relpath: str
    fingerprint: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class PassedOver:
    """What was left out: the number of repeated paths, and the folders that cannot be listed."""

    duplicates: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path as text, reason


def local_input(path: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of a local path, existing or not; relpath counts from the folder `base`."""
    absolute = os.path.abspath(path)  # noqa: PTH100  keeps links, unlike resolve
    relative = absolute.removeprefix(base.rstrip("/") + "/")
    try:
        status = os.stat(absolute)  # noqa: PTH116
        fingerprint = f"{status.st_size}-{status.st_mtime_ns}"
    except OSError:
        fingerprint = ABSENT
    return Input(to_text(absolute), to_text(relative), fingerprint, extra or {})


def url_input(url: str, base: str, extra: dict[str, Any] | None = None) -> Input:
    """The Input of one URL, existing or not; relpath counts from the URL `base`.

    Raises ServiceError when its store does not answer or refuses this host.
    """
    system, path = file_system(url)
    try:
        fingerprint = url_fingerprint(system.info(path))
    except Exception as error:  # every store's client raises errors of its own
        problem = as_reading_error(url, error)
        if isinstance(problem, ServiceError):
            raise problem from error
        fingerprint = ABSENT
    relpath = url.removeprefix(base.rstrip("/") + "/")
    if relpath != url:
        relpath = to_text(relpath.partition("?")[0])
    return Input(url, relpath, fingerprint, extra or {})


def url_fingerprint(info: Mapping[str, Any]) -> str:
    """The fingerprint of a file, made of its fsspec `info`."""
    version = next((info[key] for key in _VERSIONS if info.get(key) is not None), "")
    return f"{info.get('size')}-{version}"
