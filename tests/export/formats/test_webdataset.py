"""webdataset, read back by tarfile, and by webdataset itself where it is installed."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import tarfile
from pathlib import Path

import av
import pytest

from curate.configs.errors import ServiceError
from curate.export.format import Item, Way
from curate.export.formats import webdataset
from curate.export.formats.webdataset import WebDataset
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from tests.drawing import picture
from tests.export.shelf import CAPTIONS, Shelf, frames_of


def frames_in(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as source:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in source.decode(video=0)]


def test_shards_hold_the_clips_in_order(shelf: Shelf, tmp_path: Path) -> None:
    shelf.export("webdataset", tmp_path / "out", shard_clips=4)
    names = ["000000.tar", "000001.tar", "000002.tar"]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tar")) == names
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert [shard["url"] for shard in index["shardlist"]] == names
    assert [shard["nsamples"] for shard in index["shardlist"]] == [4, 4, 1]
    for shard in index["shardlist"]:
        data = (tmp_path / "out" / shard["url"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        assert len(data) == shard["filesize"]
    with tarfile.open(tmp_path / "out/000000.tar") as shard:
        members = shard.getnames()
        assert members[:3] == ["000000001.mp4", "000000001.json", "000000001.txt"]
        assert "000000004.txt" not in members  # it has no caption
        text = shard.extractfile("000000003.txt")
        assert text is not None and text.read().decode() == CAPTIONS[2]
        assert {(m.mtime, m.uid, m.uname) for m in shard.getmembers()} == {(0, 0, "")}


@pytest.mark.filterwarnings(  # webdataset leaves its shards open
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_webdataset_reads_every_clip_with_its_frames(shelf: Shelf, tmp_path: Path) -> None:
    reader = pytest.importorskip("webdataset")
    shelf.export("webdataset", tmp_path / "out", shard_clips=4)
    urls = [str(p) for p in sorted((tmp_path / "out").glob("*.tar"))]
    found = list(reader.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in found] == [f"{n:09d}" for n in range(1, 10)]
    for number, sample in enumerate(found, 1):
        assert json.loads(sample["json"])["clip_id"] == number
        assert frames_in(sample["mp4"]) == frames_of(shelf.file(number))
    assert found[4]["txt"].decode() == CAPTIONS[4]
    gc.collect()


def test_a_shard_ends_before_it_is_too_large(shelf: Shelf, tmp_path: Path) -> None:
    size = shelf.file(1).stat().st_size
    written = shelf.export("webdataset", tmp_path / "out", shard_bytes=3 * size + 5000)
    assert written.parts[""] >= 3
    shelf.export("webdataset", tmp_path / "tiny", shard_bytes=1)
    assert len(list((tmp_path / "tiny").glob("*.tar"))) == 9


def test_two_exports_have_the_same_bytes(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shelf.export("webdataset", tmp_path / name, shard_clips=4)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_shards_go_to_a_store(shelf: Shelf, tmp_path: Path) -> None:
    import fsspec

    shelf.export("webdataset", "memory://shards/pets", shard_clips=4)
    shelf.export("webdataset", tmp_path / "out", shard_clips=4)
    system = fsspec.filesystem("memory")
    found = {p.rpartition("/")[2]: system.cat(p) for p in system.find("/shards/pets")}
    assert found == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}


def test_a_file_that_changes_meanwhile_ends_the_shard(shelf: Shelf, tmp_path: Path) -> None:
    item = Item(1, str(shelf.file(1)), 5, None, None, None, None, None, ())
    with pytest.raises(ServiceError, match="size changed"):
        WebDataset().lay(0, [item], tmp_path / "out", Way((), {}))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["000000001.mp4", "x", "y" * 100, "z" * 101])
@pytest.mark.parametrize("size", [0, 1, 511, 8 * 2**30 - 1, 8 * 2**30])
def test_headers_are_those_of_tarfile(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    stream = io.BytesIO()
    webdataset._Shard(stream)._head(name, size)
    assert stream.getvalue() == info.tobuf(tarfile.GNU_FORMAT)


def test_thumbnails_are_middle_samples_and_those_that_are_gone_are_counted(
    shelf: Shelf, tmp_path: Path
) -> None:
    samples, jpegs = tmp_path / "samples", JpegList()
    pictures = [jpegs.add(at / 4, encode_jpeg(picture(at, size=(64, 48)))) for at in range(3)]
    with writing_samples(samples, 1, "1") as writer:
        for index in range(7):
            writer.write(index, Measures(0.5, pictures, [0], pictures[0]), jpegs)
    written = shelf.export("webdataset", tmp_path / "out", shard_clips=4, samples=samples)
    assert written.remarks == {"have no thumbnail, for their samples are gone": 2}
    with tarfile.open(tmp_path / "out/000000.tar") as shard:
        assert shard.getnames()[:4] == [f"000000001.{e}" for e in ("mp4", "json", "txt", "jpg")]
        member = shard.extractfile("000000001.jpg")
        assert member is not None and member.read() == encode_jpeg(picture(1, size=(64, 48)))
    with tarfile.open(tmp_path / "out/000002.tar") as shard:  # of a video without samples
        assert "000000009.jpg" not in shard.getnames()
    keys = {"url", "nsamples", "filesize", "sha256"}
    assert {*json.loads((tmp_path / "out/index.json").read_text())["shardlist"][1]} == keys


def test_a_still_picture_is_its_own_thumbnail(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("still.jpg", ["a cat"], ".jpg")
    written = shelf.export("webdataset", tmp_path / "out", samples=tmp_path / "none")
    assert written.remarks == {"have no thumbnail, for their samples are gone": 9}
    samples, jpegs = tmp_path / "samples", JpegList()
    at = jpegs.add(0.0, encode_jpeg(picture(1, size=(64, 48))))
    with writing_samples(samples, 3, "1") as writer:
        writer.write(0, Measures(0.5, [at], [0], at), jpegs)
    shelf.export("webdataset", tmp_path / "thumbs", samples=samples)
    with tarfile.open(tmp_path / "thumbs/000000.tar") as shard:
        names = [name for name in shard.getnames() if name.startswith("000000010")]
    assert names == ["000000010.jpg", "000000010.json", "000000010.txt"]
