"""Every frame with its time, from the start and after a seek, whatever the container does to time
stamps.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from av.video.reformatter import Interpolation

from curate.configs.row_errors import (
    BadGeometry,
    EmptyFile,
    MediaError,
    NoFrames,
    NotAFile,
    NotMedia,
    NoVideoStream,
    Unreadable,
)
from curate.tasks.inputs.paths import to_text
from curate.tasks.video.decode import decode, decode_packets, open_media, video_stream
from curate.tasks.video.geometry import Converter, geometry
from tests.media import (
    B_FRAMES,
    DAMAGED,
    ODD_NAMES,
    SOUND,
    Drawn,
    Encoding,
    Track,
    draw,
    draw_bad,
    footage,
    frame_number,
    picture,
    write_tracks,
    write_video,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module", params=SOUND)
def drawn(request: pytest.FixtureRequest, folder: Path) -> Drawn:
    return draw(request.param, folder)


def read(path: Path | str, **span: int) -> Iterator[tuple[int, float, int]]:
    """(pts, seconds from the first frame of the file, drawn number) of each frame."""
    with open_media(str(path)) as container:
        stream = video_stream(container)
        shape = None
        for frame in decode(container, stream, **span):
            shape = shape or geometry(stream, frame)
            picture = Converter(shape.square, shape, Interpolation.BILINEAR).convert(frame)
            assert frame.pts is not None and frame.time is not None
            yield frame.pts, frame.time, frame_number(picture)


def test_decode_shows_the_frames_that_a_player_shows_at_their_times(drawn: Drawn) -> None:
    found = list(read(drawn.path))
    assert [number for _, _, number in found] == drawn.numbers
    assert [t - found[0][1] for _, t, _ in found] == pytest.approx(drawn.seconds, abs=0.002)


def test_decode_from_any_frame_gives_exactly_that_span(drawn: Drawn) -> None:
    everything = list(read(drawn.path))
    for first in (0, 1, 5, 11, 12, 13, 19, 20, 23, 24, 25, len(everything) - 1):
        expected = everything[first : first + 3]
        after = everything[first + 3][0] if first + 3 < len(everything) else 1 << 60
        assert list(read(drawn.path, start_pts=expected[0][0], end_pts=after)) == expected


def test_pts_strictly_increase(drawn: Drawn) -> None:
    pts = [p for p, _, _ in read(drawn.path)]
    assert all(a < b for a, b in itertools.pairwise(pts))


def test_one_container_can_be_read_again_after_a_seek(folder: Path) -> None:
    path = draw("b_frames", folder).path
    with open_media(str(path)) as container:
        stream = video_stream(container)
        everything = [f.pts for f in decode(container, stream)]
        assert [f.pts for f in decode(container, stream, start_pts=everything[30])] == everything[
            30:
        ]
        assert [f.pts for f in decode(container, stream, start_pts=everything[3])] == everything[3:]


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("empty", EmptyFile, "0 bytes"),
        ("text", NotMedia, "invalid data"),
        ("random", NotMedia, "invalid data"),
        ("moov_missing", NotMedia, "invalid data"),
        ("audio_only", NoVideoStream, "audio"),
        ("no_size", BadGeometry, "0x0"),
        ("directory", NotAFile, "a directory"),
        ("broken_link", Unreadable, "a link to a file that is not there"),
    ],
)
def test_what_is_no_video_says_what_it_is(
    tmp_path: Path, kind: str, error: type[MediaError], words: str
) -> None:
    path = draw_bad(kind, tmp_path)
    with pytest.raises(error) as raised:
        list(read(path))
    assert type(raised.value) is error
    assert words in str(raised.value) and str(path) in str(raised.value)


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no such file"), open_media(str(tmp_path / "none.mp4")):
        pass


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(NotAFile, match="a pipe"), open_media(str(tmp_path / "pipe.mp4")):
        pass


def test_a_file_that_may_not_be_read_is_unreadable(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.mp4").chmod(0)
    with pytest.raises(Unreadable, match="permission denied"), open_media(str(tmp_path / "a.mp4")):
        pass


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_any_file_name_opens(folder: Path, tmp_path: Path, name: bytes) -> None:
    local = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  bytes have no Path
    os.link(draw("closed", folder).path, local)
    path = to_text(os.fsdecode(local))
    assert len(list(read(path))) == 48


def test_a_url_is_read_through_fsspec(folder: Path) -> None:
    import fsspec

    with fsspec.open("memory://videos/a.mkv", "wb") as out:
        out.write(draw("mkv", folder).path.read_bytes())
    assert [n for _, _, n in read("memory://videos/a.mkv")] == list(range(48))


@pytest.mark.parametrize("url", ["memory://videos/none.mkv", "nosuchprotocol://a/b.mp4"])
def test_a_url_that_cannot_be_opened_is_unreadable(url: str) -> None:
    with pytest.raises(Unreadable, match="cannot be opened"), open_media(url):
        pass


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_a_playlist_cannot_make_ffmpeg_open_another_file(
    folder: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "list.mp4").write_text(text.format(draw("closed", folder).path))
    with pytest.raises(NotMedia):
        list(read(tmp_path / "list.mp4"))


LARGE, SMALL = [picture(0, size=(320, 192))] * 3, [picture(0)] * 6
COVER = [picture(0, size=(640, 384))]


@pytest.mark.parametrize(
    ("name", "tracks", "chosen"),
    [
        ("a.mp4", [Track(COVER, "mjpeg"), Track(SMALL, default=True)], 1),
        ("a.mkv", [Track(LARGE), Track(SMALL, default=True)], 1),
        ("a.mkv", [Track(SMALL, default=True), Track(LARGE, default=True)], 1),
        ("a.mkv", [Track(SMALL), Track(LARGE)], 1),
        ("a.ts", [Track(SMALL, "mpeg2video"), Track(LARGE, "mpeg2video")], 1),
        ("a.ts", [Track(LARGE, "mpeg2video"), Track(SMALL, "mpeg2video")], 0),
        ("a.mp4", [Track(SMALL[:3], default=True), Track(SMALL, default=True)], 1),
        ("a.mkv", [Track(SMALL[:3]), Track(SMALL)], 1),
        ("a.mkv", [Track(COVER, "mjpeg", default=True), Track(SMALL, default=True)], 1),
        ("a.mkv", [Track(SMALL, default=True), Track(SMALL, default=True)], 0),
    ],
    ids=[
        "default second", "default smaller", "two defaults", "no default", "no notion of default",
        "largest first", "most frames", "longest", "cover", "equal",
    ],
)  # fmt: skip
def test_of_several_streams_the_video_is_read(
    tmp_path: Path, name: str, tracks: list[Track], chosen: int
) -> None:
    path = write_tracks(tmp_path / name, *tracks)
    with open_media(str(path)) as container:
        stream = video_stream(container)
        assert stream.index == chosen
        frames = list(decode(container, stream))
    assert len(frames) == len(tracks[chosen].frames)
    with open_media(str(path)) as container:  # after a seek
        stream = video_stream(container)
        assert len(list(decode(container, stream, start_pts=frames[1].pts))) == len(frames) - 1


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_costs_frames_but_not_the_rest(tmp_path: Path, kind: str) -> None:
    with open_media(str(draw_bad(kind, tmp_path))) as container:
        pts = [f.pts or 0 for f in decode(container, video_stream(container))]
    assert 30 < len(pts) < 96
    assert pts == sorted(set(pts))


def test_a_hole_in_the_middle_does_not_end_the_video(tmp_path: Path) -> None:
    with open_media(str(draw_bad("corrupt", tmp_path))) as container:
        assert [f.time for f in decode(container, video_stream(container))][-1] == pytest.approx(
            95 / 24, abs=0.1
        )


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".ts"), ("libx265", ".ts")])
def test_damage_costs_no_frames_that_are_stored_whole(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    encoding = Encoding(codec, {"x265-params": "log-level=none:keyint=96"})
    path = write_video(tmp_path / f"a{suffix}", footage(96), encoding)
    raw = path.read_bytes()
    middle = len(raw) // 2
    path.write_bytes(raw[:middle] + bytes(2000) + raw[middle + 2000 :])
    with open_media(str(path)) as container:
        stored = sum(1 for packet in container.demux(video=0) if packet.size)
    with open_media(str(path)) as container:
        frames = list(decode(container, video_stream(container)))
    assert 80 < stored < 96 and len(frames) == stored


def test_a_stream_without_one_decodable_packet_has_no_frames(tmp_path: Path) -> None:
    raw = bytearray(draw("avi", tmp_path).path.read_bytes())
    start = raw.index(b"movi") + 4
    for at in range(start, len(raw) - 8):
        if raw[at : at + 4] in (b"00dc", b"00db"):
            size = int.from_bytes(raw[at + 4 : at + 8], "little")
            raw[at + 8 : at + 8 + size] = bytes(size)
    (tmp_path / "zeros.avi").write_bytes(raw)
    with pytest.raises(NoFrames, match="zeros"):
        list(read(tmp_path / "zeros.avi"))


@pytest.mark.parametrize("name", ["b.avi", "b.mp4"])
def test_no_frame_is_lost_where_pts_are_stored_in_decoding_order(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, footage(48), B_FRAMES)
    with open_media(str(path)) as container:
        frames = list(decode(container, video_stream(container)))
    assert [frame_number(f.to_ndarray(format="rgb24")) for f in frames] == list(range(48))


def test_after_a_seek_nothing_is_decoded_before_the_first_keyframe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.ts", footage(96), B_FRAMES)  # where a seek hits any packet
    with open_media(str(path)) as container:
        stamps = [f.pts or 0 for f in decode(container, video_stream(container))]
    begun: list[bool] = []  # whether a keyframe is the first that is decoded, after each seek

    def noted(packets: Iterable[Any]) -> Iterator[av.VideoFrame]:
        found = list(packets)
        begun.append(found[0].is_keyframe)
        return decode_packets(found)

    monkeypatch.setattr("curate.tasks.video.decode.decode_packets", noted)
    with open_media(str(path)) as container:
        stream = video_stream(container)
        container.seek(stamps[50], stream=stream)
        assert not next(container.demux(stream)).is_keyframe
        assert [f.pts for f in decode(container, stream, start_pts=stamps[50])] == stamps[50:]
    assert len(begun) > 1 and all(begun)


def test_running_out_of_memory_is_not_taken_for_damage() -> None:
    class Greedy:
        def decode(self) -> list[object]:
            raise av.error.MemoryError(12, "Cannot allocate memory")

    with pytest.raises(MemoryError):
        list(decode_packets([Greedy()]))  # type: ignore[list-item]
