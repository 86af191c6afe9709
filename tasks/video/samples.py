"""The pictures and measures that split keeps of each clip, so that scorers need not open the video.

Each video has one zip archive, ``<folder or URL>/<video id // 1000>/<video id>.zip``, which is not
compressed. A clip has two entries: ``<index>.json``, its `Measures`, and ``<index>.jpg``, its JPEG
pictures one after the other. Pictures are upright and have square pixels. The shorter side of the
small ones is at most SHORTER, the longer side of the large one at most LONGER; none is enlarged.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from curate.configs.row_errors import SamplesMissing, Unreadable
from curate.tasks.storage.archives import RemoteArchives
from curate.tasks.storage.clip_paths import archive
from curate.tasks.storage.locations import Location, replacing
from curate.tasks.video.geometry import RGB
from curate.tasks.video.jpeg import JpegList, decode_jpeg
from curate.tasks.video.measures import FrameLook, Measures, Pair, Picture, Still

SHORTER = 256  # what the CLIP tower (224, centre crop) and LPIPS need
LONGER = 960  # for text recognition: a larger side finds no more text, a smaller one costs as much


@dataclass(frozen=True)
class SampleWriter:
    """Writes the samples of one video into its open archive, clip after clip."""

    archive: zipfile.ZipFile

    def write(self, index: int, measures: Measures, jpegs: JpegList) -> None:
        """Add the clip with this index."""
        text = json.dumps(measures, default=vars, separators=(",", ":"), allow_nan=False)
        # ZipInfo keeps the current time out of the file
        self.archive.writestr(zipfile.ZipInfo(f"{index}.json"), text)
        self.archive.writestr(zipfile.ZipInfo(f"{index}.jpg"), bytes(jpegs.data))


@contextmanager
def writing_samples(root: Location, video_id: int, fingerprint: str = "") -> Iterator[SampleWriter]:
    """The writer of a video's archive, which appears under its name only when it is whole.

    After an exception an older archive stays. `fingerprint` is that of the video: when the file
    changes, a slow worker may replace new samples by old ones, which `Samples.open` then refuses.
    Raises ServiceError when the archive cannot be uploaded.
    """
    with (
        replacing(archive(root, video_id)) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as opened,
    ):
        opened.comment = _mark(fingerprint)
        yield SampleWriter(opened)


class Samples:
    """The sampled frames and measures of one clip. Pictures are uint8 RGB, H x W x 3."""

    def __init__(self, path: Location, measures: Measures, data: bytes) -> None:
        self._path = path
        self._data = data
        self.measures = measures
        self.seconds = measures.seconds
        """Length of the clip; 0 for a still image."""
        self.size = measures.size
        """Width and height of its pictures in the source, as displayed; None: by an older version.
        """
        self.pairs = measures.pairs
        """Motion between neighbouring frames, about four a second; none for a still image."""
        self.stills = measures.stills
        """Brightness and sharpness of single frames, about one a second; never empty."""

    @classmethod
    def open(
        cls, source: Path | RemoteArchives, video_id: int, clip_index: int, fingerprint: str = ""
    ) -> Samples:
        """The samples of a clip.

        Raises SamplesMissing, also for samples of another version of the file, and ServiceError.
        """
        path = archive(source if isinstance(source, Path) else source.root, video_id)
        try:
            if isinstance(path, Path):
                status = path.stat()
                opened = _opened(path, status.st_mtime_ns, status.st_size, os.getpid())
            else:
                assert isinstance(source, RemoteArchives)
                opened = source.open(path)
            if fingerprint and opened.comment not in (b"", _mark(fingerprint)):
                raise ValueError("of another form of the video")
            raw = json.loads(opened.read(f"{clip_index}.json"))
            looks, size = raw.get("looks"), raw.get("size")
            measures = Measures(
                raw["seconds"],
                [Picture(**p) for p in raw["pictures"]],
                raw["regular"],
                Picture(**raw["large"]),
                [Pair.of(p) for p in raw["pairs"]],
                [Still.of(s) for s in raw["stills"]],
                looks and [FrameLook(**look) for look in looks],
                [Picture(**p) for p in raw.get("ends", ())],
                size and (int(size[0]), int(size[1])),
            )
            return cls(path, measures, opened.read(f"{clip_index}.jpg"))
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, Unreadable) as error:
            raise SamplesMissing(path=path) from error

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

    def picture_number(self, fraction: float) -> int:
        """The number, for `picture`, of the stored frame that `at` gives.

        Two points of a short clip may share a frame.
        """
        return self.measures.pictures.index(self._nearest(fraction * self.seconds))

    def pictures_at(self, points: Sequence[float]) -> list[tuple[float, RGB]]:
        """The stored frames nearest to points of the clip, and these, 0 (start) to 1 (end).

        Where several points share a frame, it comes once, with the first of them.
        """
        numbers: dict[int, float] = {}
        for point in points:
            numbers.setdefault(self.picture_number(point), point)
        return [(point, self.picture(number)) for number, point in numbers.items()]

    def picture(self, number: int) -> RGB:
        """A stored frame by its number, in the order of time."""
        return self._decode(self.measures.pictures[number])

    def first(self) -> RGB:
        """The earliest stored frame.

        That is the first frame of a scene; in a later piece of a long scene it is one soon after.
        """
        return self._decode(self.measures.pictures[0])

    def middle(self) -> RGB:
        """The stored frame nearest to the middle."""
        return self.at(0.5)

    def large_middle(self) -> RGB:
        """A frame near the middle with a longer side of up to LONGER pixels, for finding text."""
        return self._decode(self.measures.large)

    def large_frames(self) -> list[RGB]:
        """Frames near the middle, the start and the end, in this order; each is there once.

        Those of the ends are large where split was told to keep them, else small.
        """
        measures = self.measures
        ends = measures.ends or (measures.pictures[0], measures.pictures[-1])
        distinct = {picture.seconds: picture for picture in (*ends, measures.large)}
        distinct = {measures.large.seconds: measures.large} | distinct
        return [self._decode(picture) for picture in distinct.values()]

    def jpeg(self, number: int) -> bytes:
        """A stored frame by its number, as a JPEG file."""
        return self._jpeg(self.measures.pictures[number])

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


def _mark(fingerprint: str) -> bytes:
    """The comment of an archive: a hash of its video's fingerprint."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16].encode() if fingerprint else b""


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int, size: int, process: int) -> zipfile.ZipFile:
    """An open archive, whose directory is read once for all clips of a video.

    The other arguments keep it apart from a newer archive, and from one opened before a fork.
    """
    return zipfile.ZipFile(path)
