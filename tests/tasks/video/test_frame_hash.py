"""Hashes of frames: of the pixels as they are decoded, and of nothing else."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from curate.configs.row_errors import FramesDiffer
from curate.tasks.video.frame_hash import FrameHash, Proof, decoder, hash_image
from tests import media
from tests.drawing import picture


def test_frames_are_hashed_without_the_padding_of_their_lines() -> None:
    pixels = picture(3, size=(50, 38))  # lines of 150 bytes, which ffmpeg pads
    found = FrameHash()
    frame = VideoFrame.from_ndarray(pixels, format="rgb24")
    found.add(frame)
    found.add(frame)
    assert found.count == 2
    assert found.hexdigest() == hashlib.sha256(pixels.tobytes() * 2).hexdigest()


@pytest.mark.parametrize(
    "form", ["yuv420p", "yuvj422p", "yuv420p10le", "nv12", "gray", "rgb24", "yuv444p16le", "gbrp"]
)
def test_every_kind_of_pixel_is_hashed_and_one_pixel_makes_a_difference(form: str) -> None:
    hashes = set()
    for number in (0, 0, 1):
        pixels = picture(3, size=(64, 48)).copy()
        pixels[7, 9] ^= 255 * number
        found = FrameHash()
        found.add(VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form))
        hashes.add(found.hexdigest())
    assert len(hashes) == 2


def test_frames_stay_as_they_are_and_their_hash_does_not_go_by_times(tmp_path: Path) -> None:
    path = media.draw("closed", tmp_path).path
    with av.open(str(path)) as source:
        frames = list(source.decode(video=0))[:5]
    before = [(f.pts, f.dts, f.time_base, f.pict_type) for f in frames]
    whole = FrameHash()
    for frame in frames:
        whole.add(frame)
    assert [(f.pts, f.dts, f.time_base, f.pict_type) for f in frames] == before
    for frame in frames:
        frame.pts = (frame.pts or 0) + 7
    assert list(Proof(iter(frames), whole.hexdigest(), "a.mp4")) == frames
    for taken in (0, 3, 5):
        proof = Proof(iter(frames), whole.hexdigest(), "a.mp4")
        assert list(itertools.islice(proof, taken)) == frames[:taken]
        proof.check()
    with pytest.raises(FramesDiffer, match=r"a\.mp4"):
        Proof(iter(frames[:4]), whole.hexdigest(), "a.mp4").check()


def test_pictures_that_change_their_size_are_hashed_too() -> None:
    found = FrameHash()
    shapes = [(64, 48), (32, 24)]
    pixels = [picture(1, size=size) for size in shapes]
    for each in pixels:
        found.add(VideoFrame.from_ndarray(each, format="rgb24"))
    both = b"".join(np.ascontiguousarray(p).tobytes() for p in pixels)
    assert found.hexdigest() == hashlib.sha256(both).hexdigest()


def test_an_image_is_hashed_by_its_pixels(tmp_path: Path) -> None:
    pixels = picture(3, size=(64, 48))
    one, two = tmp_path / "a.png", tmp_path / "b.bmp"
    media.write_image(one, pixels)
    media.write_image(two, pixels)
    assert hash_image(str(one)) == hash_image(str(two)) == hashlib.sha256(pixels).hexdigest()


def test_what_decodes_is_told_with_its_version() -> None:
    assert decoder().startswith(f"PyAV {av.__version__}, libavcodec ")
