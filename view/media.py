"""Pictures and films: files that a row names, by the id of the row and by nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from sqlalchemy import Engine, select
from tornado.iostream import StreamClosedError

from curate.configs.row_errors import Unreadable
from curate.configs.settings import Settings, without_passwords
from curate.db.engine import reading
from curate.db.schema import clips, videos
from curate.tasks.inputs.extensions import extension
from curate.tasks.inputs.files import fingerprint_now, is_same_file
from curate.tasks.inputs.paths import is_url, to_path
from curate.tasks.storage.archives import RemoteArchives
from curate.tasks.storage.remote import RemoteFile
from curate.tasks.video.samples import Samples
from curate.view.security import Page, Refusal
from curate.view.state import Home

CHUNK_BYTES = 1 << 18  # read and sent at a time
BLOCK_BYTES = 1 << 20  # read at a time from a URL: a player asks for one part after the other
KEPT_SAMPLES = 64  # clips whose pictures stay in memory, some 200 KB each
KEPT_SECONDS = 60  # after which a changed archive is noticed
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAIN = "application/octet-stream"
# what browsers play; they play most QuickTime files, but only under the type of MP4
_KINDS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/webm",
    ".ogv": "video/ogg",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
# by ffmpeg's name of a codec, what a browser's canPlayType takes for it
_CODECS = {
    "h264": "avc1.64001f",
    "hevc": "hvc1.1.6.L93.B0",
    "vp8": "vp8",
    "vp9": "vp09.00.10.08",
    "av1": "av01.0.05M.08",
    "theora": "theora",
}


@dataclass(frozen=True)
class MediaFile:
    """An open file: its size in bytes, and a text that changes when the file does."""

    file: IO[bytes] | io.RawIOBase
    size: int
    version: str

    def read(self, start: int, count: int) -> bytes:
        """Some bytes; fewer at the end of the file. Raises Unreadable, ServiceError."""
        self.file.seek(start)
        return self.file.read(count) or b""


def content_type(path: str) -> str:
    """The type that a file is served with: of video or image, or one that no browser shows."""
    return _KINDS.get(extension(path), _PLAIN)


def player_type(path: str, codec: str | None) -> str:
    """The type of a source with its codec, for a browser's canPlayType; empty if none plays it."""
    kind = content_type(path)
    known = _CODECS.get(codec or "")
    return f'{kind}; codecs="{known}"' if kind.startswith("video/") and known else ""


def clip_path(home: Home, clip: int) -> str:
    """The path or URL of a clip that was cut. Raises Refusal."""
    with reading(home.engine) as connection:
        row = connection.execute(select(clips.c.path).where(clips.c.id == clip)).one_or_none()
    if row is None:
        raise Refusal(404, f"There is no clip {clip}")
    if row.path is None:
        raise Refusal(404, f"Clip {clip} is not cut")
    return str(row.path)


def source_path(home: Home, video: int) -> str:
    """The path or URL of a source that was read as a video and has not changed since.

    Raises Refusal.
    """
    columns = (videos.c.path, videos.c.codec, videos.c.fingerprint)
    with reading(home.engine) as connection:
        row = connection.execute(select(*columns).where(videos.c.id == video)).one_or_none()
    if row is None:
        raise Refusal(404, f"There is no video {video}")
    if row.codec is None:  # whatever it is, it may not be media
        raise Refusal(404, f"Video {video} was not read as a video")
    if not is_same_file(row.fingerprint, fingerprint_now(row.path)):
        raise Refusal(404, f"{without_passwords(row.path)} has changed since, or is gone")
    return str(row.path)


def open_media(path: str) -> MediaFile:
    """Open a path as a row has it. Raises Unreadable, ServiceError."""
    version = hashlib.sha256(fingerprint_now(path).encode()).hexdigest()[:16]
    if is_url(path):
        remote = RemoteFile(path, BLOCK_BYTES)
        return MediaFile(remote, remote.seek(0, os.SEEK_END), version)
    try:
        # O_NONBLOCK: opening a pipe would wait for somebody to write to it
        file = os.fdopen(os.open(to_path(path), os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise Unreadable(path=path, why=error.strerror or error) from None
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise Unreadable(path=path, why="it is not a file")
    return MediaFile(file, found.st_size, version)


def samples_of(home: Home, clip: int) -> Samples:
    """The pictures that split keeps of a clip. Raises Refusal, SamplesMissing, ServiceError."""
    return samples_in(home.engine, home.settings, clip)


def samples_in(engine: Engine, settings: Settings, clip: int) -> Samples:
    """The same, of a database."""
    query = (
        select(clips.c.video_id, clips.c.clip_index, videos.c.fingerprint)
        .join(videos, videos.c.id == clips.c.video_id)
        .where(clips.c.id == clip)
    )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise Refusal(404, f"There is no clip {clip}")
    minute = int(time.monotonic() // KEPT_SECONDS)
    return _samples(settings.samples, row.video_id, row.clip_index, row.fingerprint, minute)


@lru_cache(maxsize=KEPT_SAMPLES)
def _samples(root: Path | str, video: int, index: int, fingerprint: str, _minute: int) -> Samples:
    """Cached; with each new `_minute`, the archive is read again."""
    archives = root if isinstance(root, Path) else RemoteArchives(root)
    return Samples.open(archives, video, index, fingerprint)


def sample(home: Home, clip: int, number: str) -> bytes:
    """A stored picture of a clip as JPEG: by its number, or `middle`. Raises as `samples_of`.

    After the last one comes the first again: the page runs through them without knowing how many.
    """
    samples = samples_of(home, clip)
    if number == "middle":
        return samples.thumbnail()
    return samples.jpeg(int(number) % len(samples.measures.pictures))


class Film(Page):
    """/media/clip/ID and /media/source/ID: a file, or the part that the header Range names.

    Several parts at once are answered with the whole file, as the standard allows.
    """

    def initialize(self, path_of: object) -> None:
        """`path_of` finds the path of an id."""
        self.path_of = path_of
        self.version = ""

    def compute_etag(self) -> str | None:
        """By size and time; tornado would hash the whole file."""
        return f'"{self.version}"' if self.version else None

    async def get(self, number: str) -> None:
        """The file, read in pieces off the event loop."""
        assert callable(self.path_of)
        files = self.pools.files
        path: str = await self.work_in(files, self.path_of, self.home, int(number))
        media = await self.work_in(files, open_media, path)
        try:
            await self._send(media, content_type(path))
        except StreamClosedError:
            pass  # the player closed the connection
        finally:
            media.file.close()

    async def _send(self, media: MediaFile, kind: str) -> None:
        self.version = media.version
        self.set_etag_header()
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Cache-Control", "private, no-cache")
        if self.check_etag_header():
            self.set_status(304)
            return
        start, end = 0, media.size
        wanted = self.request.headers.get("Range", "")
        if self.request.headers.get("If-Range", self.compute_etag()) != self.compute_etag():
            wanted = ""
        part = part_of(wanted, media.size)
        if part is not None:
            start, end = part
            last = f"{start}-{end - 1}" if start < end else "*"
            self.set_status(206 if start < end else 416)
            self.set_header("Content-Range", f"bytes {last}/{media.size}")
        self.set_header("Content-Type", kind)
        self.set_header("Content-Length", end - start)
        while start < end and self.request.method == "GET":
            count = min(CHUNK_BYTES, end - start)
            data = await self.work_in(self.pools.files, media.read, start, count)
            if not data:  # it became shorter
                self.detach().close()
                return
            start += len(data)
            self.write(data)
            await self.flush()


def part_of(header: str, size: int) -> tuple[int, int] | None:
    """The first byte that a header Range names, and the one behind the last.

    None: all of it, also for what is no such header. An empty part: there are no such bytes.
    """
    found = _RANGE.fullmatch(header)
    if not found or found[0] == "bytes=-":
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        assert last is not None
        return max(0, size - last), size
    if last is not None and last < first:
        return None
    if first >= size:
        return size, size
    return first, size if last is None else min(last + 1, size)


class Sample(Page):
    """/media/sample/ID/NUMBER: a stored picture of a clip, by its number or `middle`."""

    def compute_etag(self) -> str | None:
        """None: the browser keeps it for a while."""
        return None

    async def get(self, clip: str, number: str) -> None:
        """The picture as JPEG."""
        data = await self.work_in(self.pools.files, sample, self.home, int(clip), number)
        self.set_header("Content-Type", "image/jpeg")
        self.set_header("Cache-Control", f"private, max-age={KEPT_SECONDS}")
        self.write(data)


ROUTES = [
    (r"/media/clip/(\d{1,18})", Film, {"path_of": clip_path}),
    (r"/media/source/(\d{1,18})", Film, {"path_of": source_path}),
    (r"/media/sample/(\d{1,18})/(\d{1,4}|middle)", Sample),
]
