"""Files at fsspec URLs: read in blocks, written atomically, with all failures as errors of curate.

A file that is missing, or that its owner does not let us read, fails its row. A store that does not
answer, or that refuses the credentials, is no row's fault: it raises a ServiceError, so the rows of
the batch are released and go on when the store works again.
"""

from __future__ import annotations

import io
import logging
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from curate.configs.errors import (
    BucketMissing,
    ConfigError,
    CurateError,
    PackageMissing,
    ServiceError,
    StoreRefused,
    StoreUnknown,
)
from curate.configs.packages import install, known_protocols, store_package
from curate.configs.row_errors import Unreadable
from curate.configs.settings import hide_password
from curate.tasks.inputs.paths import ARCHIVES, last_link

T = TypeVar("T")

# A file is read in blocks, one ranged request each. 4 x 8 MiB suffice for the index at the end of a
# file, sound that is stored apart from the pictures, and the current position.
BLOCK_BYTES = 8 << 20
BLOCKS = 4

# Protocols whose URLs name their own hosts: when one does not answer, only its row fails, since the
# other rows do not share the host.
_OWN_HOST = {"ftp", "github", "http", "https", "sftp", "smb", "ssh", "webdav", "webhdfs"}

# Protocols whose URLs name a bucket first
_BUCKETS = {"abfs", "az", "gcs", "gs", "s3", "s3a"}

# Error codes of S3 about the credentials, not about the requested object.
_ABOUT_CREDENTIALS = {
    "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip


def protocol(url: str) -> str:
    """The protocol of the store of a URL: ``s3`` of ``s3://…`` and of ``zip://…::s3://…``."""
    return last_link(url).partition("://")[0]


def has_own_host(url: str) -> bool:
    """Whether a URL names a host of its own, as one of a web server does, not a store of many."""
    return protocol(url) in _OWN_HOST


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises PackageMissing, StoreUnknown, ServiceError, ConfigError.
    """
    import fsspec

    _quiet_clients()
    if (archive := url.partition("://")[0]) in ARCHIVES and "::" not in url:
        where = f"{archive}://FOLDER/IN/IT::/PATH/OF/ARCHIVE.{archive}"
        raise ConfigError(source=url, why=f"it names no archive; write {where}")
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        raise _cannot_import(url, error) from error
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise ConfigError(source=url, why=f"the archive cannot be read: {error}") from None
    except ValueError as error:
        raise ConfigError(source=url, why=f"{error}. curate knows {known_protocols()}") from None
    except (TypeError, KeyError, AttributeError) as error:  # it needs more than a URL says
        why = f"fsspec does not take it ({error})"
        raise ConfigError(source=url, why=f"{why}. curate knows {known_protocols()}") from None


def _cannot_import(url: str, error: ImportError) -> ServiceError:
    """Why fsspec cannot open URLs of this kind; a package is named only from a table of ours."""
    import fsspec

    name = protocol(url)
    for linked in re.findall(r"([A-Za-z0-9+.\-]+)://", url):  # of a chain, the one that fails
        try:
            fsspec.get_filesystem_class(linked)
        except (ImportError, ValueError):
            name = linked
            break
    package = store_package(name)
    if package is None:
        return StoreUnknown(protocol=name, known=known_protocols())
    cause = error.__cause__
    if cause is not None and not isinstance(cause, ModuleNotFoundError):
        return ServiceError(what=f"{name}://, by the package {package},", why=cause)
    return PackageMissing(what=f"{name}://", package=package, install=install(package))


@cache
def _quiet_clients() -> None:
    """Keep the clients from logging secrets.

    At DEBUG they log what they sign, session tokens included, and at INFO each block they fetch.
    """
    for name in ("aiobotocore", "botocore", "fsspec", "s3fs"):
        logging.getLogger(name).setLevel(logging.WARNING)


# ---------------------------------------------------------------- reading


class RemoteFile(io.RawIOBase):
    """A file at a URL, for reading and seeking, fetched in blocks, the last few of which are kept.

    Once a read has failed, all later ones raise the same error, which is in `failure`: ffmpeg takes
    a failed read for the end of the file.
    """

    def __init__(self, url: str, block_bytes: int = BLOCK_BYTES) -> None:
        self.url = url
        self.failure: CurateError | None = None
        # an archive is closed when nothing refers to its file system any more
        self._system, self._file = self._attempt(lambda: _open(url, block_bytes))

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; -1: all that remain. Raises Unreadable, ServiceError."""
        return self._attempt(lambda: bytes(self._file.read(-1 if size is None else size)))

    def readinto(self, buffer: Any) -> int:
        """As for any file. Raises Unreadable, ServiceError."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As for any file. Raises Unreadable, ServiceError."""
        return self._attempt(lambda: int(self._file.seek(offset, whence)))

    def tell(self) -> int:
        """As for any file."""
        return int(self._file.tell())

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Free the blocks."""
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()

    def _attempt(self, call: Callable[[], T]) -> T:
        if self.failure is not None:
            raise self.failure
        try:
            return call()
        except MemoryError:
            raise
        except Exception as error:  # every store's client raises errors of its own
            self.failure = as_reading_error(self.url, error)
            raise self.failure from error


def _open(url: str, block_bytes: int) -> tuple[Any, Any]:
    system, path = file_system(url)
    if not system.async_impl:
        return system, system.open(path, "rb")
    blocks = {"cache_type": "blockcache", "cache_options": {"maxblocks": BLOCKS}}
    return system, system.open(path, "rb", block_size=block_bytes, **blocks)


def as_reading_error(url: str, error: Exception) -> CurateError:
    """The error for a failed read: Unreadable if it affects only this file, else a ServiceError."""
    if isinstance(error, ConfigError):  # no such protocol
        return Unreadable(path=url, why=error.fields["why"])
    if isinstance(error, CurateError):
        return error
    missing = isinstance(error, FileNotFoundError | IsADirectoryError)
    if missing or has_own_host(url) or type(error).__name__ == "FileExpired":
        return Unreadable(path=url, why=_reason(error))
    if isinstance(error, PermissionError):
        # S3 tells only for a request of content whether it refuses this file or all
        system, path = file_system(url)
        refusal: Exception = error
        try:
            system.cat_file(path, start=0, end=1)
        except Exception as second:  # noqa: BLE001  every store's client raises errors of its own
            refusal = second
        if _code(refusal) not in _ABOUT_CREDENTIALS:
            return Unreadable(path=url, why=_reason(refusal))
        return as_store_error(url, refusal)
    return as_store_error(url, error)


@contextmanager
def needed_by_all(url: str) -> Iterator[None]:
    """Turn Unreadable into a ServiceError where the bucket is missing or may not be read."""
    try:
        yield
    except Unreadable as error:
        cause = error.__cause__
        if isinstance(cause, PermissionError) or (
            isinstance(cause, OSError) and _code(cause) == "NoSuchBucket"
        ):
            raise as_store_error(url, cause) from error
        raise


def _code(error: BaseException) -> str:
    """The S3 error code in an error, or an empty text."""
    answer = getattr(error.__cause__ or error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    # fsspec says of each answer of a web server, and of none, that there is no file
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and not _code(error):
        error = cause
    if isinstance(error, FileNotFoundError):
        missing = "bucket" if _code(error) == "NoSuchBucket" else "file"
        return f"there is no such {missing}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:300].rstrip(".")


# ---------------------------------------------------------------- writing


def upload(local: Path, url: str) -> None:
    """Put a local file at a URL, where it appears only when it is whole. Raises ServiceError."""
    with store_errors(url):
        system, path = file_system(url)
        if system.async_impl:  # an object store: it has no folders and no partial objects
            system.put_file(str(local), path)
            return
        temporary = f"{path}.{uuid4().hex[:8]}.part"
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            system.put_file(str(local), temporary)
            system.mv(temporary, path)
        except BaseException:
            if system.exists(temporary):
                system.rm_file(temporary)
            raise


def check_writable(url: str) -> None:
    """Write a small file below a URL and remove it.

    Raises ServiceError or ConfigError, which say what is wrong and what to do.
    """
    with store_errors(url):
        system, path = file_system(url)
        if not system.async_impl:
            system.makedirs(path, exist_ok=True)
        probe = f"{path}/.curate-{os.getpid()}-{uuid4().hex[:8]}"
        system.pipe_file(probe, b"curate checks whether it may write here\n")
        system.rm_file(probe)


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn a client's errors into a ServiceError, for URLs that all rows need."""
    try:
        yield
    except (CurateError, MemoryError):
        raise
    except Exception as error:
        raise as_store_error(url, error) from error


def is_missing(error: Exception) -> bool:
    """Whether a store says with an error that one file is not there, and no more is wrong."""
    return isinstance(error, FileNotFoundError) and _code(error) != "NoSuchBucket"


def as_store_error(url: str, error: Exception) -> CurateError:
    """The error for a failure of the store of a URL that all rows need."""
    link = last_link(url)
    store = link if link.startswith("file://") else hide_password("/".join(link.split("/")[:3]))
    name = type(error).__name__
    if isinstance(error, FileNotFoundError) and protocol(url) in _BUCKETS:
        return BucketMissing(url=url, store=store)
    if isinstance(error, PermissionError) or any(
        word in name for word in ("Credential", "Profile", "SSO", "Token")
    ):
        return StoreRefused(store=store, why=_reason(error))
    return ServiceError(what=f"The store {store}", why=_reason(error))
