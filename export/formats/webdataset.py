"""`webdataset`: shards, which are tar files of `KEY.mp4`, `KEY.json`, `KEY.txt`, `KEY.jpg`."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from curate.configs.errors import ServiceError
from curate.configs.row_errors import SamplesMissing
from curate.export.format import Item, MediaFormat, Way, json_line
from curate.export.places import write_text
from curate.tasks.inputs.paths import is_url
from curate.tasks.storage.locations import Location, below, replacing
from curate.tasks.storage.remote import RemoteFile, store_errors

KIND = "wids-shard-index-v1"  # of webdataset's own index
_BARE = "have no thumbnail, for their samples are gone"

# the header of an empty file without a name; its checksum counts itself as spaces
_HEAD = tarfile.TarInfo("").tobuf(tarfile.GNU_FORMAT)
_SIZE = _HEAD[124:135]
_SUM = int(_HEAD[148:154], 8)


class WebDataset(MediaFormat):
    """The columns are in KEY.json, the caption, where there is one, also in KEY.txt, and on request
    the middle one of the clip's samples in KEY.jpg. index.json lists the shards with their clips,
    bytes and SHA-256.
    """

    name = "webdataset"
    reader = "webdataset, datasets, NeMo, Open-Sora Plan"
    needs_text = False
    columns = "usual"
    placings = ()
    to_urls = True
    shards = True

    def needs(self, way: Way) -> Sequence[str]:
        """What finds the samples of a clip."""
        of_samples = ("video_id", "clip_index", "_source_fingerprint")
        return () if way.samples is None else of_samples

    def remark(self, line: Any) -> tuple[str, int] | None:
        """Clips whose samples are gone."""
        return (_BARE, line[_BARE]) if _BARE in line else None

    def files_of(self, number: int) -> Sequence[str]:
        """The shard."""
        return [f"{number:06d}.tar"]

    def lay(self, number: int, items: Sequence[Item], root: Location, way: Way) -> list[Any]:
        """Write a shard."""
        (name,) = self.files_of(number)
        thumbnails = None if way.samples is None else _Thumbnails(way.samples)
        with replacing(below(root, name)) as temporary, temporary.open("wb") as stream:
            shard = _Shard(stream)
            for item in items:
                shard.add_file(f"{item.key}{item.ending}", item)
                values = json_line(way.names, item.values)
                shard.add(f"{item.key}.json", values.encode())
                if item.text is not None:
                    shard.add(f"{item.key}.txt", item.text.encode())
                # a still picture has that name already
                if thumbnails and item.ending != ".jpg" and (jpeg := thumbnails.of(item)):
                    shard.add(f"{item.key}.jpg", jpeg)
            size = shard.close()
        of_it = {"nsamples": len(items), "filesize": size, "sha256": shard.sha256.hexdigest()}
        bare = {_BARE: thumbnails.missing} if thumbnails and thumbnails.missing else {}
        return [{"url": name, **of_it, **bare}]

    def finish(self, laid: Iterable[Any], root: Location, way: Way) -> None:
        """Write index.json."""
        shards = [{key: line[key] for key in line if key != _BARE} for line in laid]
        index = {"__kind__": KIND, "wids_version": 1, "shardlist": shards}
        write_text(below(root, "index.json"), json.dumps(index, indent=1) + "\n")


class _Thumbnails:
    """The middle samples of clips; counts those whose samples are gone."""

    def __init__(self, samples: Location) -> None:
        from curate.tasks.storage.archives import RemoteArchives

        self._from = RemoteArchives(samples) if isinstance(samples, str) else samples
        self.missing = 0

    def of(self, item: Item) -> bytes | None:
        """A JPEG file, or None."""
        from curate.tasks.video.samples import Samples

        video_id, index, fingerprint = item.more
        try:
            return Samples.open(self._from, video_id, index, fingerprint).thumbnail()
        except SamplesMissing:
            self.missing += 1
            return None


class _Shard:
    """A tar file of the same bytes for the same members: no times, no owners."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self._size += len(data)
        return self._stream.write(data)

    def add(self, name: str, data: bytes) -> None:
        self._head(name, len(data))
        self.write(data + bytes(-len(data) % tarfile.BLOCKSIZE))

    def add_file(self, name: str, item: Item) -> None:
        """Raises ServiceError when the file has not the size that it should have."""
        self._head(name, item.size)
        before = self._size
        if is_url(item.file):
            with store_errors(item.file), closing(RemoteFile(item.file)) as source:
                shutil.copyfileobj(source, self, 1 << 20)
        else:
            with open(item.file, "rb", buffering=0) as source:  # noqa: PTH123  a tenth of the time
                shutil.copyfileobj(source, self, 1 << 20)
        if self._size - before != item.size:
            why = "its size changed while it was exported; export once more"
            raise ServiceError(what=item.file, why=why)
        self.write(bytes(-item.size % tarfile.BLOCKSIZE))

    def close(self) -> int:
        """Write the end, and return the bytes in all."""
        self.write(bytes(2 * tarfile.BLOCKSIZE))
        self.write(bytes(-self._size % tarfile.RECORDSIZE))
        return self._size

    def _head(self, name: str, size: int) -> None:
        """Write a header: an empty file's, with name, size and checksum put in; TarInfo is slow."""
        word, digits = name.encode("ascii"), b"%011o" % size
        if len(word) > tarfile.LENGTH_NAME or len(digits) > len(_SIZE):
            info = tarfile.TarInfo(name)
            info.size = size
            self.write(info.tobuf(tarfile.GNU_FORMAT))
            return
        head = bytearray(_HEAD)
        head[: len(word)] = word
        head[124:135] = digits
        total = _SUM + sum(word) + sum(digits) - sum(_SIZE)
        head[148:154] = b"%06o" % total
        self.write(bytes(head))
