"""Films and pictures: of rows alone, in parts, from disk and from a store."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.configs.settings import Settings
from curate.db import migrate
from curate.db.engine import make_engine
from curate.tasks.inputs.files import fingerprint_now
from curate.tasks.storage.remote import file_system
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from curate.view.media import content_type, part_of, player_type
from tests.drawing import picture
from tests.view.conftest import Client, Rows, home_of, served, serving

FILM = random.Random(1).randbytes(700_001)


def write_samples(root: Path | str, video: int, fingerprint: str = "1") -> None:
    """Three pictures of each of the first two clips of a video."""
    jpegs = JpegList()
    pictures = [jpegs.add(t, encode_jpeg(picture(n))) for n, t in enumerate((0.0, 2.0, 3.9))]
    with writing_samples(root, video, fingerprint) as writer:
        for index in range(2):
            writer.write(index, Measures(4.0, pictures, [0, 2], pictures[1]), jpegs)


class Films:
    """A dataset whose clips have files."""

    def __init__(self, rows: Rows, folder: Path) -> None:
        self.rows, self.folder = rows, folder
        self.pets = rows.dataset("pets")

    def clip(self, path: str, content: bytes | None = FILM, **values: Any) -> int:
        """A clip of a source with this name, cut to a file beside it."""
        source = self.folder / path
        if content is not None:
            source.write_bytes(content)
        number = fingerprint_now(str(source))
        self.video = self.rows.video(
            self.pets, path, path=str(source), codec="h264", fingerprint=number
        )
        return self.rows.clip(self.pets, self.video, path=str(source), **values)


@pytest.fixture(scope="module")
def shown(
    _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Films, Client]]:
    folder = tmp_path_factory.mktemp("films")
    shutil.copy(_migrated_sqlite, folder / "test.db")
    with served(f"sqlite:///{folder / 'test.db'}", folder) as pages:
        yield Films(pages.rows, folder), pages.client


@pytest.fixture
def films(shown: tuple[Films, Client]) -> Films:
    return shown[0]


@pytest.fixture
def client(shown: tuple[Films, Client]) -> Client:
    return shown[1]


def test_a_whole_clip(films: Films, client: Client) -> None:
    answer = client.get(f"/media/clip/{films.clip('whole.mp4')}")
    assert (answer.status, answer.body) == (200, FILM)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 700_001),
        ("bytes=5-300004", 5, 300_005),
        ("bytes=700000-", 700_000, 700_001),
        ("bytes=-7", 699_994, 700_001),
        ("bytes=600000-99999999999", 600_000, 700_001),
        ("bytes=-99999999999", 0, 700_001),
    ],
)
def test_a_part(wanted: str, start: int, end: int, films: Films, client: Client) -> None:
    answer = client.get(f"/media/clip/{films.clip(f'{wanted}.mp4')}", Range=wanted)
    assert (answer.status, answer.body) == (206, FILM[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/700001"
    assert int(answer.headers["Content-Length"]) == end - start


@pytest.mark.parametrize("wanted", ["bytes=700001-", "bytes=999999999-", "bytes=-0"])
def test_a_part_that_is_not_there(wanted: str, films: Films, client: Client) -> None:
    answer = client.get(f"/media/clip/{films.clip(f'{wanted}.mp4')}", Range=wanted)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */700001"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=0-1,5-6", "bytes=5-2", "bytes=-", "bytes=x-", "lines=0-1", "bytes=" + "9" * 30],
)
def test_what_is_no_single_part_gives_all(wanted: str) -> None:
    assert part_of(wanted, 100) is None


def test_only_the_head(films: Films, client: Client) -> None:
    url = f"/media/clip/{films.clip('head.mp4')}"
    answer = client.get(url, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "700001"
    assert client.get(url, "HEAD", Range="bytes=0-9").headers["Content-Length"] == "10"


def test_what_the_browser_has_is_not_sent_again_until_it_changes(
    films: Films, client: Client
) -> None:
    clip = films.clip("again.mp4")
    tag = client.get(f"/media/clip/{clip}").headers["Etag"]
    assert client.get(f"/media/clip/{clip}", If_None_Match=tag).status == 304
    assert client.get(f"/media/clip/{clip}", If_Range=tag, Range="bytes=0-1").status == 206
    os.utime(films.folder / "again.mp4", (1, 1))
    changed = client.get(f"/media/clip/{clip}", If_Range=tag, Range="bytes=0-1")
    assert (changed.status, len(changed.body)) == (200, len(FILM))


@pytest.mark.parametrize("name", ["ä ö.mp4", "%FF.mp4", "a?b#c.mp4", "<img src=x>.mp4"])
def test_any_name_is_found(name: str, films: Films, client: Client) -> None:
    raw = os.fsdecode(name.encode().replace(b"%FF", b"\xff"))
    (films.folder / raw).write_bytes(FILM)
    video = films.rows.video(films.pets, name, codec="h264", fingerprint="1")
    clip = films.rows.clip(films.pets, video, path=str(films.folder / name))
    assert client.get(f"/media/clip/{clip}", Range="bytes=0-3").body == FILM[:4]


def test_what_is_not_there_says_why(films: Films, client: Client) -> None:
    uncut = films.rows.clip(films.pets, films.rows.video(films.pets, "u.mp4"))
    gone = films.clip("gone.mp4")
    (films.folder / "gone.mp4").unlink()
    (films.folder / "folder.mp4").mkdir()
    folder = films.clip("folder.mp4", None)
    os.mkfifo(films.folder / "pipe.mp4")
    pipe = films.clip("pipe.mp4", None)
    for clip, why in (
        (uncut, "not cut"), (gone, "No such file"), (folder, "file"), (pipe, "not a file"),
        (10**17, "no clip"),
    ):  # fmt: skip
        answer = client.get(f"/media/clip/{clip}")
        assert answer.status == 404, clip
        assert why in answer.json["error"]


def test_a_source_that_was_read_as_a_video(films: Films, client: Client) -> None:
    films.clip("source.mp4")
    answer = client.get(f"/media/source/{films.video}", Range="bytes=1-4")
    assert (answer.status, answer.body) == (206, FILM[1:5])


def test_no_source_that_is_no_video_or_has_changed(films: Films, client: Client) -> None:
    films.clip("secrets.mp4", b"root:x:0:0")
    films.rows.run("UPDATE videos SET codec = NULL WHERE id = :id", id=films.video)
    assert client.get(f"/media/source/{films.video}").status == 404
    films.clip("swapped.mp4")
    (films.folder / "swapped.mp4").write_bytes(b"root:x:0:0")
    answer = client.get(f"/media/source/{films.video}")
    assert (answer.status, "changed" in answer.json["error"]) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "/media/clip/", "/media/clip/0", "/media/clip/-1", "/media/clip/1/../../etc/passwd",
        "/media/clip/..%2f..%2fetc%2fpasswd", "/media/clip//etc/passwd", "/media/clip/1e3",
        "/media/clip/99999999999999999999", "/media/source/1%00", "/media/sample/1/99999",
        "/media/sample/1/-1", "/media/sample/1/x", "/media/sample/1", "/media/../etc/passwd",
    ],
)  # fmt: skip
def test_only_ids_lead_to_files(path: str, films: Films, client: Client) -> None:
    assert client.get(path).status == 404


def test_stored_pictures(films: Films, client: Client) -> None:
    clip = films.clip("pictures.mp4")
    write_samples(films.rows.settings.samples, films.video, "")
    found = [client.get(f"/media/sample/{clip}/{n}") for n in (0, 1, 2, "middle", 3)]
    assert {answer.status for answer in found} == {200}
    assert {a.headers["Content-Type"] for a in found} == {"image/jpeg"}
    assert all(a.body[:3] == b"\xff\xd8\xff" for a in found)
    assert found[3].body == found[1].body != found[0].body
    assert found[4].body == found[0].body, "behind the last the first follows"


def test_pictures_that_are_not_there_say_how_to_get_them(films: Films, client: Client) -> None:
    answer = client.get(f"/media/sample/{films.clip('bare.mp4')}/0")
    assert answer.status == 404
    assert "retry pets --error SamplesMissing" in answer.json["error"]


def test_clips_and_pictures_in_a_store(tmp_path: Path, s3_url: str) -> None:
    settings = Settings(home=tmp_path / "there", media=s3_url)
    rows = Rows(make_engine(settings.database), settings)
    migrate.ensure(rows.engine)
    pets = rows.dataset("pets")
    system, path = file_system(f"{s3_url}/clip.mp4")
    system.pipe_file(path, FILM)
    url = f"{s3_url}/clip.mp4"
    video = rows.video(pets, path=url, codec="h264", fingerprint=fingerprint_now(url))
    clip = rows.clip(pets, video, path=url)
    write_samples(settings.samples, video, fingerprint_now(url))
    with serving(home_of(settings)) as client:
        for kind, number in (("clip", clip), ("source", video)):
            answer = client.get(f"/media/{kind}/{number}", Range="bytes=300000-600000")
            assert (answer.status, answer.body) == (206, FILM[300_000:600_001])
            assert client.get(f"/media/{kind}/{number}").body == FILM
        assert client.get(f"/media/sample/{clip}/2").body[:3] == b"\xff\xd8\xff"
        system.rm_file(path)
        assert client.get(f"/media/clip/{clip}").status == 404


@pytest.mark.parametrize(
    ("path", "codec", "kind"),
    [
        ("/v/a.MP4", "h264", 'video/mp4; codecs="avc1.64001f"'),
        ("s3://b/a.webm", "vp9", 'video/webm; codecs="vp09.00.10.08"'),
        ("/v/a.avi", "h264", ""),
        ("/v/a.mp4", "mpeg4", ""),
        ("/v/a.mp4", None, ""),
        ("/v/a.png", "png", ""),
    ],
)
def test_what_a_browser_is_asked(path: str, codec: str | None, kind: str) -> None:
    assert player_type(path, codec) == kind


@pytest.mark.parametrize("path", ["/v/a.html", "/v/a.svg", "/v/a", "/v/a.mp4.js", "/v/a.xhtml"])
def test_what_a_browser_could_run_has_no_type(path: str) -> None:
    assert content_type(path) == "application/octet-stream"
