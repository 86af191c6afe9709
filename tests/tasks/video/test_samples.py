"""What is written is read back; half an archive never counts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import BucketMissing, ServiceError
from curate.configs.row_errors import SamplesMissing
from curate.tasks.storage.archives import OPEN, RemoteArchives
from curate.tasks.storage.clip_paths import archive
from curate.tasks.storage.remote import RemoteFile
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures, Pair, Still
from curate.tasks.video.samples import Samples, writing_samples
from tests.conftest import use_s3
from tests.media import frame_number, picture
from tests.servers import S3, free_ports

PAIRS = [Pair(0.5, 0.04, 3.25, 1.5), Pair(1.0, 0.04, None, 0.0)]
STILLS = [Still(0.0, 100.0, 20.0, 300.0)]


def clip(numbers: dict[float, int], seconds: float) -> tuple[Measures, JpegList]:
    """A clip that shows the drawn frame numbers at these seconds; both ends are regular."""
    jpegs = JpegList()
    pictures = [jpegs.add(t, encode_jpeg(picture(n))) for t, n in numbers.items()]
    large = jpegs.add(seconds / 2, encode_jpeg(picture(77, size=(480, 288))))
    return Measures(seconds, pictures, [0, len(pictures) - 1], large, PAIRS, STILLS), jpegs


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    with writing_samples(tmp_path, 1234) as writer:
        writer.write(0, *clip({0.0: 9}, 1.0))
        writer.write(3, *clip({0.0: 10, 1.1: 11, 2.4: 12, 5.0: 13, 7.6: 14, 9.9: 15}, 10.0))
    return Samples.open(tmp_path, 1234, 3)


def test_measures_come_back_as_written(samples: Samples) -> None:
    assert samples.pairs == PAIRS and samples.stills == STILLS and samples.seconds == 10.0


def test_regular_frames_and_their_times(samples: Samples) -> None:
    assert samples.times == [0.0, 9.9]
    assert [frame_number(f) for f in samples.frames()] == [10, 15]
    assert frame_number(samples.frame(1)) == 15


@pytest.mark.parametrize(
    ("fraction", "number"),
    [(0.0, 10), (0.1, 11), (0.25, 12), (0.5, 13), (0.75, 14), (0.9, 15), (1.0, 15)],
)
def test_at_gives_the_nearest_stored_frame(samples: Samples, fraction: float, number: int) -> None:
    assert frame_number(samples.at(fraction)) == number


def test_named_frames(samples: Samples) -> None:
    assert frame_number(samples.first()) == 10
    assert frame_number(samples.middle()) == 13
    assert frame_number(samples.large_middle()) == 77
    assert samples.large_middle().shape == (288, 480, 3)


def test_pictures_are_rgb_and_close_to_what_was_stored(samples: Samples) -> None:
    image = samples.first()
    assert image.dtype == np.uint8 and image.shape == (96, 160, 3)
    assert np.abs(image.astype(int) - picture(10)).mean() < 6


def test_the_thumbnail_is_a_jpeg_file(samples: Samples) -> None:
    assert samples.thumbnail()[:3] == b"\xff\xd8\xff"


def test_each_video_has_one_archive_and_thousands_share_a_folder(tmp_path: Path) -> None:
    assert archive(tmp_path, 7) == tmp_path / "0" / "7.zip"
    assert archive(tmp_path, 12345) == tmp_path / "12" / "12345.zip"


@pytest.mark.parametrize(("video", "index"), [(1234, 1), (1235, 0)])
def test_what_is_not_there_is_missing(
    samples: Samples, tmp_path: Path, video: int, index: int
) -> None:
    with pytest.raises(SamplesMissing, match=f"{video}.zip"):
        Samples.open(tmp_path, video, index)


@pytest.mark.parametrize("raw", [b"", b"PK no zip", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_archive_counts_as_missing(tmp_path: Path, raw: bytes) -> None:
    path = archive(tmp_path, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    with pytest.raises(SamplesMissing):
        Samples.open(tmp_path, 1, 0)


def test_measures_that_are_no_measures_count_as_missing(tmp_path: Path) -> None:
    path = archive(tmp_path, 1)
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("0.json", '{"seconds": 1}')
    with pytest.raises(SamplesMissing):
        Samples.open(tmp_path, 1, 0)


def test_a_broken_picture_counts_as_missing(tmp_path: Path) -> None:
    measures, jpegs = clip({0.0: 1}, 1.0)
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, measures, JpegList(bytearray(len(jpegs.data))))
    with pytest.raises(SamplesMissing):
        Samples.open(tmp_path, 1, 0).first()


def test_a_failed_pass_leaves_the_old_archive_and_no_rubbish(tmp_path: Path) -> None:
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, *clip({0.0: 1}, 1.0))
    with pytest.raises(RuntimeError, match="stop"), writing_samples(tmp_path, 1) as writer:
        writer.write(0, *clip({0.0: 2}, 1.0))
        raise RuntimeError("stop")
    assert frame_number(Samples.open(tmp_path, 1, 0).first()) == 1
    assert [p.name for p in (tmp_path / "0").iterdir()] == ["1.zip"]


def test_a_second_pass_replaces_the_archive_for_readers_that_had_it_open(tmp_path: Path) -> None:
    for number in (1, 2):
        with writing_samples(tmp_path, 1) as writer:
            writer.write(0, *clip({0.0: number, 1.0 * number: 3}, 1.0))
        assert frame_number(Samples.open(tmp_path, 1, 0).first()) == number


def test_archives_do_not_depend_on_when_they_are_written(tmp_path: Path) -> None:
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, *clip({0.0: 1}, 1.0))
    with zipfile.ZipFile(archive(tmp_path, 1)) as found:
        assert {entry.date_time for entry in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_samples_in_a_store_are_read_back_and_fetched_once_a_batch(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing_samples(s3_url, 1234) as writer:
        for index in range(6):
            writer.write(index, *clip({0.0: 10 + index, 0.9: 20 + index}, 1.0))
    made: list[str] = []

    class Seen(RemoteFile):
        def __init__(self, url: str, block_bytes: int) -> None:
            made.append(url)
            super().__init__(url, block_bytes)

    monkeypatch.setattr("curate.tasks.storage.archives.RemoteFile", Seen)
    batch = RemoteArchives(s3_url)
    shown = [
        [frame_number(f) for f in Samples.open(batch, 1234, index).frames()] for index in range(6)
    ]
    assert shown == [[10 + index, 20 + index] for index in range(6)]
    assert made == [f"{s3_url}/1/1234.zip"]


def test_a_batch_keeps_only_a_few_archives_of_a_store_open(s3_url: str) -> None:
    for video in range(OPEN + 2):
        with writing_samples(s3_url, video) as writer:
            writer.write(0, *clip({0.0: video}, 1.0))
    batch = RemoteArchives(s3_url)
    for video in [*range(OPEN + 2), 0]:
        assert frame_number(Samples.open(batch, video, 0).first()) == video
        assert len(batch._open) <= OPEN


def test_the_next_batch_sees_what_split_wrote_again(s3_url: str) -> None:
    for number in (1, 2):
        with writing_samples(s3_url, 1) as writer:
            writer.write(0, *clip({0.0: number}, 1.0))
        assert frame_number(Samples.open(RemoteArchives(s3_url), 1, 0).first()) == number


def test_samples_that_are_not_in_the_store_are_missing_and_a_silent_store_is_not(
    s3: S3, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SamplesMissing, match=s3_url):
        Samples.open(RemoteArchives(s3_url), 1, 0)
    with pytest.raises(BucketMissing):
        Samples.open(RemoteArchives("s3://no-such-bucket/samples"), 1, 0)
    use_s3(
        monkeypatch, s3.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    )
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    with pytest.raises(ServiceError):
        Samples.open(RemoteArchives(s3_url), 1, 0)


def test_a_writer_that_fails_uploads_nothing(s3_url: str) -> None:
    with pytest.raises(RuntimeError), writing_samples(s3_url, 1) as writer:
        writer.write(0, *clip({0.0: 2}, 1.0))
        raise RuntimeError
    with pytest.raises(SamplesMissing):
        Samples.open(RemoteArchives(s3_url), 1, 0)


def test_samples_of_another_form_of_the_video_are_told(tmp_path: Path) -> None:
    for source in ("new", "old"):  # a worker that was slower than the file's change writes last
        with writing_samples(tmp_path, 1, source) as writer:
            writer.write(0, *clip({0.0: 1}, 1.0))
    with pytest.raises(SamplesMissing):
        Samples.open(tmp_path, 1, 0, "new")
    assert Samples.open(tmp_path, 1, 0, "old").seconds >= 0
