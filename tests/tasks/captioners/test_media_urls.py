"""Frames as they are sent to a server."""

from __future__ import annotations

import base64
import io

import av
import numpy as np
import pytest

from curate.tasks.captioners.media_urls import jpeg_urls, mp4_url


def content(url: str, media_type: str) -> io.BytesIO:
    head, _, body = url.partition(",")
    assert head == f"data:{media_type};base64"
    return io.BytesIO(base64.b64decode(body))


def test_each_frame_is_a_jpeg_of_its_size() -> None:
    frames = np.full((2, 20, 30, 3), 200, np.uint8)
    for url in jpeg_urls(frames):
        with av.open(content(url, "image/jpeg")) as picture:
            (frame,) = picture.decode(video=0)
        assert (frame.width, frame.height) == (30, 20)


@pytest.mark.parametrize("fps", [0.25, 4.0])
def test_a_video_holds_every_frame_at_its_rate_and_even_sides(fps: float) -> None:
    frames = np.full((3, 33, 49, 3), 90, np.uint8)
    with av.open(content(mp4_url(frames, fps), "video/mp4")) as video:
        assert video.streams.video[0].average_rate == fps
        decoded = list(video.decode(video=0))
    assert [(frame.width, frame.height) for frame in decoded] == [(48, 32)] * 3
