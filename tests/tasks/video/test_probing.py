"""The columns of a video, for every container, and of images; damaged files say so."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curate.configs.row_errors import EmptyFile, EmptyStream, MediaError, NotMedia, OtherStream
from curate.tasks.video.decode import decode, open_media, packets, video_stream
from curate.tasks.video.probing import first_alone, probe_image, probe_video
from tests.media import (
    B_FRAMES,
    BAD,
    CLOSED,
    SOUND,
    Drawn,
    Encoding,
    draw,
    draw_bad,
    footage,
    write_image,
    write_video,
)

SIZES = {"anamorphic": (233, 96), "odd": (161, 97)}
COLUMNS = {
    "media_type", "duration", "num_frames", "fps", "fps_guessed", "width", "height", "aspect_ratio",
    "resolution",
    "rotation", "mirrored", "sample_aspect_ratio", "stream_index", "codec", "pixel_format",
    "interlaced_flag", "transfer", "primaries", "audio", "first_pts", "time_base_num",
    "time_base_den", "keyframes", "size_bytes",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module", params=SOUND)
def drawn(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Drawn]:
    return request.param, draw(request.param, folder)


def test_one_packet_is_decoded_where_it_holds_the_first_frame(folder: Path) -> None:
    path = str(draw("closed", folder).path)
    with open_media(path) as container:
        first = next(decode(container, video_stream(container)))
    with open_media(path) as container:
        stream = video_stream(container)
        found = list(packets(container, stream))
        alone = first_alone(stream, found[:8])
        assert alone is not None and alone.pts == first.pts
        assert np.array_equal(alone.to_ndarray(), first.to_ndarray())
        assert first_alone(stream, found[1:9]) is None, "it is no keyframe"
        assert first_alone(stream, [found[0], *found[:7]]) is None, "it is not shown first"
        assert first_alone(stream, found[:3]) is None, "too few to tell"
        shown = [frame.pts for packet in found for frame in packet.decode()]
        assert shown[0] == first.pts and len(shown) == len(found) - 1, "the decoder begins anew"


def test_counts_times_and_size_are_those_that_decoding_shows(drawn: tuple[str, Drawn]) -> None:
    kind, video = drawn
    found = probe_video(str(video.path))
    frame = video.seconds[-1] - video.seconds[-2]
    assert found["num_frames"] == len(video.numbers)
    assert found["duration"] == pytest.approx(video.seconds[-1] + frame, abs=0.045)
    assert found["fps"] == pytest.approx(found["num_frames"] / found["duration"])
    assert (found["width"], found["height"]) == SIZES.get(kind, (160, 96))
    assert found["aspect_ratio"] == found["height"] / found["width"]
    assert found["resolution"] == found["height"] * found["width"]
    assert found["size_bytes"] == video.path.stat().st_size
    assert set(found) == COLUMNS


@pytest.mark.parametrize("at", [20, 21, 22, 23])
def test_a_pause_counts_once_in_the_length(tmp_path: Path, at: int) -> None:
    # in an mp4, a packet lasts until the next one is decoded, which need not be the next one shown
    pts = [i + (i >= at) * 240 for i in range(48)]
    path = write_video(tmp_path / "a.mp4", footage(48), replace(B_FRAMES, pts=pts))
    assert probe_video(str(path))["duration"] == pytest.approx((48 + 240) / 24, abs=0.2)


def test_first_pts_and_keyframes_are_pts_of_decoded_frames(drawn: tuple[str, Drawn]) -> None:
    video = drawn[1]
    found = probe_video(str(video.path))
    with open_media(str(video.path)) as container:
        stream = video_stream(container)
        assert Fraction(found["time_base_num"], found["time_base_den"]) == stream.time_base
        frames = [(f.pts, f.key_frame) for f in decode(container, stream)]
    keys = json.loads(found["keyframes"])
    assert found["first_pts"] == frames[0][0]
    assert keys == sorted(keys) and len(keys) >= 1
    assert {k for k in keys if k >= found["first_pts"]} == {pts for pts, key in frames if key}


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("closed", "codec", "h264"), ("webm", "codec", "vp8"), ("mpg", "codec", "mpeg2video"),
        ("closed", "audio", None), ("audio", "audio", "aac"),
        ("ten_bit", "pixel_format", "yuv420p10le"), ("closed", "pixel_format", "yuv420p"),
        ("rotated90", "rotation", 90), ("rotated270", "rotation", 270),
        ("anamorphic", "sample_aspect_ratio", "16:11"),
        ("closed", "sample_aspect_ratio", "1:1"), ("closed", "fps_guessed", 24.0),
        ("closed", "media_type", "video"), ("closed", "stream_index", 0),
        ("audio", "transfer", "bt709"), ("closed", "transfer", None),
        ("closed", "primaries", None), ("closed", "interlaced_flag", 0), ("closed", "mirrored", 0),
    ],
)  # fmt: skip
def test_a_column_is_what_was_drawn(folder: Path, kind: str, column: str, value: object) -> None:
    assert probe_video(str(draw(kind, folder).path))[column] == value


@pytest.mark.parametrize(
    ("matrix", "rotation", "mirrored"),
    [((-1, 0, 0, 1), 0, 1), ((0, 1, 1, 0), 90, 1), ((1, 0, 0, -1), 180, 1), ((0, 0, 0, 0), 0, 0)],
)
def test_a_mirrored_picture_is_told_from_a_turned_one(
    tmp_path: Path, matrix: tuple[int, int, int, int], rotation: int, mirrored: int
) -> None:
    path = write_video(tmp_path / "a.mp4", footage(2), replace(CLOSED, matrix=matrix))
    found = probe_video(str(path))
    assert (found["rotation"], found["mirrored"]) == (rotation, mirrored)


@pytest.mark.parametrize(
    ("codec", "suffix", "name"), [("libsvtav1", ".mkv", "av1"), ("libvpx-vp9", ".webm", "vp9")]
)
def test_a_codec_has_its_canonical_name(tmp_path: Path, codec: str, suffix: str, name: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", footage(4), Encoding(codec))
    assert probe_video(str(path))["codec"] == name


def test_what_the_stream_claims_is_told(tmp_path: Path) -> None:
    # not by libx265: now and then it writes a header that FFmpeg does not take
    hlg = Encoding().x264(colorprim="bt2020", transfer="arib-std-b67")
    found = probe_video(str(write_video(tmp_path / "a.mp4", footage(2), hlg)))
    assert (found["transfer"], found["primaries"]) == ("arib-std-b67", "bt2020")
    fields = replace(CLOSED, fields="tff")
    found = probe_video(str(write_video(tmp_path / "b.mp4", footage(2), fields)))
    assert found["interlaced_flag"] == 1


@pytest.mark.parametrize(
    "suffix", [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"]
)
def test_an_image_is_one_frame_without_times(tmp_path: Path, suffix: str) -> None:
    path = write_image(tmp_path / f"a{suffix}") if suffix != ".pgm" else _gray(tmp_path / "a.pgm")
    found = probe_image(str(path))
    assert set(found) == COLUMNS
    assert (found["media_type"], found["num_frames"], found["fps"], found["duration"]) == (
        "image",
        1,
        None,
        None,
    )
    assert (found["width"], found["height"]) == (160, 96)


def _gray(path: Path) -> Path:
    return write_image(path, np.zeros((96, 160), np.uint8))


def test_an_image_stands_upright(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (160, 96)).save(tmp_path / "a.jpg", exif=exif)
    found = probe_image(str(tmp_path / "a.jpg"))
    assert (found["width"], found["height"], found["rotation"]) == (96, 160, 90)


@pytest.mark.parametrize("kind", [k for k in BAD if k != "image"])
def test_what_is_no_video_fails_as_media(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MediaError):
        probe_video(str(draw_bad(kind, tmp_path)))


def test_a_damaged_image_is_not_media(tmp_path: Path) -> None:
    with pytest.raises(NotMedia, match="broken"):
        probe_image(str(draw_bad("image", tmp_path)))


def test_an_image_cut_short_is_not_media(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NotMedia):
        probe_image(str(path))


def test_an_empty_image_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(EmptyFile):
        probe_image(str(tmp_path / "a.jpg"))


@pytest.mark.parametrize(("suffix", "codec"), [(".h264", "libx264"), (".hevc", "libx265")])
def test_a_raw_stream_has_frames_and_a_length_though_no_time_stamps(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    rate = replace(B_FRAMES, codec=codec) if codec == "libx264" else Encoding(codec)
    found = probe_video(str(write_video(tmp_path / f"a{suffix}", footage(60), rate)))
    assert (found["num_frames"], found["first_pts"]) == (60, 0)
    assert (found["duration"], found["fps"]) == (pytest.approx(2.5), pytest.approx(24))


@pytest.mark.parametrize(
    ("codec", "shows"), [("libvpx", 0x10), ("libvpx-vp9", 0x02)], ids=["vp8", "vp9"]
)
def test_pictures_that_are_only_referred_to_are_no_frames(
    tmp_path: Path, codec: str, shows: int
) -> None:
    encoding = Encoding(codec, {"deadline": "realtime", "cpu-used": "8"})
    shown = write_video(tmp_path / "a.nut", footage(12), encoding)
    with av.open(str(shown)) as source, av.open(str(tmp_path / "b.nut"), "w") as output:
        stream = source.streams.video[0]
        copied = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if not packet.size:
                continue
            if packet.is_keyframe:  # the same again, to be kept but not shown
                hidden = av.Packet(bytes([packet_byte(packet) ^ shows]) + bytes(packet)[1:])
                hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, stream.time_base
                hidden.stream = copied
                output.mux(hidden)
                packet.pts += 1  # type: ignore[operator]
                packet.dts += 1  # type: ignore[operator]
            packet.stream = copied
            output.mux(packet)
    with av.open(str(tmp_path / "b.nut")) as container:
        assert sum(1 for p in container.demux(video=0) if p.size) == 13
    assert probe_video(str(tmp_path / "b.nut"))["num_frames"] == 12


def packet_byte(packet: av.Packet[Any]) -> int:
    return memoryview(packet)[0]


def test_a_stream_without_any_picture_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        tone = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        output.mux(tone.encode(frame))
        output.mux(tone.encode(None))
    with pytest.raises(EmptyStream, match="not one picture is in it"):
        probe_video(str(path))


def test_sound_that_begins_in_the_middle_of_a_broadcast_costs_no_frame(tmp_path: Path) -> None:
    video_second = {"mpegts_start_pid": "0x101"}
    silent = write_video(tmp_path / "a.ts", footage(30), replace(B_FRAMES, container=video_second))
    sounding = write_video(tmp_path / "b.ts", footage(30), replace(B_FRAMES, audio=3.0))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(silent.read_bytes() + sounding.read_bytes())
    assert probe_video(str(joined))["num_frames"] == 60


@pytest.mark.parametrize("service", ["1", "7"])
def test_pictures_that_go_on_in_another_stream_are_not_lost_in_silence(
    tmp_path: Path, service: str
) -> None:
    other = {"mpegts_start_pid": "0x200", "mpegts_pmt_start_pid": "0x1100"}
    other["mpegts_service_id"] = service
    parts = [B_FRAMES, replace(B_FRAMES, container=other)]
    drawn = [write_video(tmp_path / f"{i}.ts", footage(30), e) for i, e in enumerate(parts)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in drawn))
    with pytest.raises(OtherStream) as raised:
        probe_video(str(joined))
    place = raised.value.fields["place"]
    assert isinstance(place, int) and 0 < place <= drawn[0].stat().st_size
