"""What a file is taken for by its extension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curate.tasks.inputs.extensions import is_image, is_media, suffix


def test_pictures_are_told_by_their_extension() -> None:
    assert is_image("/a/B.JPG") and is_image("http://h/a.png?size=1.mp4") and not is_image("/a.mp4")


@pytest.mark.parametrize("name", ["go.mod", "a.rec", "a.txt", "a", "a.mp3", "a.csv", "a.mp4.part"])
def test_other_files_are_no_media(name: str) -> None:
    assert not is_media(name)


@pytest.mark.parametrize(
    ("name", "known_by"),
    [
        ("notes.TXT", ".txt"),
        ("a.tar.7z", ".7z"),
        ("README", ""),
        ("frame.0001", ""),
        ("v1. a name with blanks", ""),
        ("a.part-of-a-name", ""),
        ("a.\udce9", ""),
        ("s3://bucket/a.json?x=.mp4", ".json"),
    ],
)
def test_a_file_is_known_by_its_suffix_when_it_has_one(name: str, known_by: str) -> None:
    assert suffix(name) == known_by


MADE = {  # how FFmpeg's libraries write a file of the extension: format, codec, pixels
    ".flv": ("flv", "flv1"), ".f4v": ("f4v", "libx264"), ".wmv": ("asf", "wmv2"),
    ".asf": ("asf", "msmpeg4"), ".vob": ("vob", "mpeg2video"), ".m2p": ("vob", "mpeg2video"),
    ".mpe": ("mpeg", "mpeg1video"), ".tod": ("mpegts", "mpeg2video"),
    ".m2t": ("mpegts", "mpeg2video"), ".mxf": ("mxf", "mpeg2video"), ".gif": ("gif", "gif", "rgb8"),
    ".rm": ("rm", "rv10"), ".rmvb": ("rm", "rv20"), ".3gp": ("3gp", "h263"),
    ".3g2": ("3g2", "mpeg4"), ".3gpp": ("3gp", "mpeg4"), ".m2v": ("mpeg2video", "mpeg2video"),
    ".m1v": ("mpeg1video", "mpeg1video"), ".divx": ("avi", "mpeg4"), ".nut": ("nut", "mpeg4"),
    ".y4m": ("yuv4mpegpipe", "wrapped_avframe"), ".h264": ("h264", "libx264"),
    ".ivf": ("ivf", "libvpx"), ".qt": ("mov", "mpeg4"), ".mk3d": ("matroska", "mpeg4"),
    ".mjpeg": ("mjpeg", "mjpeg", "yuvj420p"), ".mj2": ("mp4", "jpeg2000"),
    ".wtv": ("wtv", "mpeg2video"), ".ogv": ("ogg", "libvpx"), ".swf": ("swf", "flv1"),
    ".apng": ("apng", "apng", "rgb24"), ".h263": ("h263", "h263"), ".h261": ("h261", "h261"),
    ".ismv": ("ismv", "libx264"),
    ".mp4v": ("m4v", "mpeg4"), ".tp": ("mpegts", "mpeg2video"), ".avc": ("h264", "libx264"),
    ".vro": ("vob", "mpeg2video"), ".mqv": ("mov", "mjpeg", "yuvj420p"),
}  # fmt: skip


@pytest.mark.parametrize("ending", MADE)
def test_the_decoder_reads_files_of_the_extension(ending: str, tmp_path: Path) -> None:
    kind, codec, *pixels = MADE[ending]
    path = tmp_path / f"a{ending}"
    with av.open(str(path), "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, (*pixels, "yuv420p")[0]
        for number in range(5):
            picture = np.full((144, 176, 3), number * 50, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert is_media(str(path))
    with av.open(str(path)) as opened:
        assert len(list(opened.decode(video=0))) == 5
