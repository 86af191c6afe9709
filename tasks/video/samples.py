"""The pictures and measures that split keeps of each clip, so that no later stage opens the video
again.

One zip archive a video, ``<folder or URL>/<video id // 1000>/<video id>.zip``, nothing compressed
twice. A clip has two entries: ``<index>.json``, its `Measures`, and ``<index>.jpg``, its JPEG
pictures one after the other. Pictures are upright and have square pixels; the shorter side of the
small ones is SHORTER or less, the longer side of the large one is LONGER or less; none is enlarged.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import SamplesMissing, Unreadable
from curate.tasks.storage.archives import RemoteArchives
from curate.tasks.storage.locations import Location, LocationT, below, replacing

SHORTER = 256  # what the CLIP tower (224, centre crop) and LPIPS need
LONGER = 960  # what text recognition needs: larger finds no more text, smaller costs as much
QUALITY = 90

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """Where a JPEG lies among those of its clip, and when it is shown, in seconds from the clip's
    start.
    """

    seconds: float
    offset: int
    size: int


@dataclass(frozen=True)
class Pair:
    """Motion between two neighbouring frames; see `curate.tasks.video.flow`."""

    seconds: float  # of the later frame, from the clip's start
    gap: float  # seconds between the two
    flow: float | None  # percent of the picture's diagonal moved a second; None: too small to tell
    change: float  # mean absolute difference of the luma, 0 to 255


@dataclass(frozen=True)
class Still:
    """Measures of one frame in small gray; see `curate.tasks.video.flow`."""

    seconds: float
    mean: float  # luma, 0 to 255
    deviation: float  # of the luma, 0 to 127.5
    sharpness: float  # variance of the Laplacian


@dataclass(frozen=True)
class Measures:
    """All that is known of a clip's pictures. `regular` are places in `pictures`, which are in time
    order.
    """

    seconds: float  # length of the clip; 0 for a still image
    pictures: Sequence[Picture]
    regular: Sequence[int]
    large: Picture
    pairs: Sequence[Pair] = ()
    stills: Sequence[Still] = ()


@dataclass
class Reel:
    """JPEGs of one clip, put together by split."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, seconds: float, jpeg: bytes) -> Picture:
        """Where the JPEG came to lie."""
        picture = Picture(seconds, len(self.data), len(jpeg))
        self.data += jpeg
        return picture


def encode(picture: RGB) -> bytes:
    """A picture (H x W x 3, RGB) as JPEG."""
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return jpeg.tobytes()


def decode_jpeg(jpeg: bytes) -> RGB:
    """The picture (H x W x 3, RGB) of a JPEG. Raises ValueError when it is none."""
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB) if jpeg else None
    if decoded is None:
        raise ValueError("not a JPEG")
    return decoded.astype(np.uint8, copy=False)


def archive(root: LocationT, video_id: int) -> LocationT:
    """Where the samples of a video are."""
    return below(root, str(video_id // 1000), f"{video_id}.zip")


class SampleWriter:
    """Writes the archive of one video, clip after clip; it appears under its name only when it is
    whole.

    A context manager: leaving it by an exception leaves what was there before. `fingerprint` is
    that of the video: who was slower than a changed file may put old samples over new ones, and
    `Samples.open` tells them apart. Raises ServiceError when it cannot be uploaded.
    """

    def __init__(self, root: Location, video_id: int, fingerprint: str = "") -> None:
        self._place = archive(root, video_id)
        self._mark = _mark(fingerprint)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self._place))
            self._zip = stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED))
            self._zip.comment = self._mark
            self._stack = stack.pop_all()
        return self

    def write(self, index: int, measures: Measures, reel: Reel) -> None:
        """Add the clip called index."""
        text = json.dumps(asdict(measures), separators=(",", ":"), allow_nan=False)
        self._zip.writestr(
            zipfile.ZipInfo(f"{index}.json"), text
        )  # ZipInfo: no time of day in the file
        self._zip.writestr(zipfile.ZipInfo(f"{index}.jpg"), bytes(reel.data))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class Samples:
    """The sampled frames and measures of one clip. Pictures are uint8 RGB, H x W x 3."""

    def __init__(self, path: Location, measures: Measures, data: bytes) -> None:
        self._path = path
        self._data = data
        self.measures = measures

    @classmethod
    def open(
        cls, source: Path | RemoteArchives, video_id: int, clip_index: int, fingerprint: str = ""
    ) -> Samples:
        """The samples of a clip. Raises SamplesMissing (also for those of another form of the
        video), ServiceError.
        """
        root: Location = source if isinstance(source, Path) else source.root
        path = archive(root, video_id)
        try:
            opened = _local(Path(path)) if isinstance(source, Path) else source.open(str(path))
            if fingerprint and opened.comment not in (b"", _mark(fingerprint)):
                raise ValueError("of another form of the video")
            measures = _measures(json.loads(opened.read(f"{clip_index}.json")))
            return cls(path, measures, opened.read(f"{clip_index}.jpg"))
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, Unreadable) as error:
            raise SamplesMissing(path=path) from error

    @property
    def seconds(self) -> float:
        """Length of the clip; 0 for a still image."""
        return self.measures.seconds

    @property
    def pairs(self) -> Sequence[Pair]:
        """Motion between neighbouring frames, about four a second; none for a still image."""
        return self.measures.pairs

    @property
    def stills(self) -> Sequence[Still]:
        """Brightness and sharpness of single frames, about one a second; never empty."""
        return self.measures.stills

    @property
    def times(self) -> list[float]:
        """Seconds from the clip's start of each regular frame, about one a second; never empty."""
        return [self._regular(i).seconds for i in range(len(self.measures.regular))]

    def frames(self) -> list[RGB]:
        """The regular frames, in the order of `times`."""
        return [self.frame(i) for i in range(len(self.measures.regular))]

    def frame(self, i: int) -> RGB:
        """The regular frame shown at ``times[i]``."""
        return self._decode(self._regular(i))

    def at(self, fraction: float) -> RGB:
        """The stored frame nearest to this point of the clip, 0 (start) to 1 (end).

        .1, .25, .5, .75 and .9 are hit within 1/16 of the length.
        """
        return self._decode(self._nearest(fraction * self.seconds))

    def place(self, fraction: float) -> int:
        """Which stored picture `at` gives, by its number; for `picture`. Two points of a short clip
        may share one.
        """
        return self.measures.pictures.index(self._nearest(fraction * self.seconds))

    def picture(self, place: int) -> RGB:
        """A stored picture by its number, in time order."""
        return self._decode(self.measures.pictures[place])

    def first(self) -> RGB:
        """The earliest stored frame: of a scene its first, of a piece of a long scene one soon
        after.
        """
        return self._decode(self.measures.pictures[0])

    def middle(self) -> RGB:
        """The stored frame nearest to the middle."""
        return self.at(0.5)

    def large_middle(self) -> RGB:
        """A frame near the middle with a longer side of up to LONGER pixels, to find text in."""
        return self._decode(self.measures.large)

    def thumbnail(self) -> bytes:
        """The middle frame as a JPEG file."""
        return self._jpeg(self._nearest(0.5 * self.seconds))

    def _regular(self, i: int) -> Picture:
        return self.measures.pictures[self.measures.regular[i]]

    def _nearest(self, seconds: float) -> Picture:
        return min(self.measures.pictures, key=lambda picture: abs(picture.seconds - seconds))

    def _jpeg(self, picture: Picture) -> bytes:
        return self._data[picture.offset : picture.offset + picture.size]

    def _decode(self, picture: Picture) -> RGB:
        try:
            return decode_jpeg(self._jpeg(picture))
        except ValueError as error:
            raise SamplesMissing(path=self._path) from error


def _local(path: Path) -> zipfile.ZipFile:
    found = path.stat()
    return _opened(path, found.st_mtime_ns, found.st_size, os.getpid())


def _mark(fingerprint: str) -> bytes:
    """What an archive carries of its video's fingerprint."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16].encode() if fingerprint else b""


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int, size: int, process: int) -> zipfile.ZipFile:
    """An open archive; its directory is read once for all clips of a video. The rest tell a newer
    one.
    """
    return zipfile.ZipFile(path)


def _measures(raw: dict[str, Any]) -> Measures:
    return Measures(
        raw["seconds"],
        [Picture(**p) for p in raw["pictures"]],
        raw["regular"],
        Picture(**raw["large"]),
        [Pair(**p) for p in raw["pairs"]],
        [Still(**s) for s in raw["stills"]],
    )
