"""Frames as data URLs: JPEG pictures, or one small MP4. Imported only when a request is made."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from curate.tasks.video.jpeg import encode_jpeg

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


def jpeg_urls(frames: Frames) -> list[str]:
    """Each frame as data:image/jpeg;base64,…"""
    return [_data_url("image/jpeg", encode_jpeg(frame)) for frame in frames]


def mp4_url(frames: Frames, fps: float) -> str:
    """The frames at `fps` as data:video/mp4;base64,…, encoded as H.264.

    An odd last row or column is cropped.
    """
    height, width = (n - n % 2 for n in frames.shape[1:3])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        rate = Fraction(fps).limit_denominator(1000)
        stream = output.add_stream(
            "libx264", rate=max(rate, Fraction(1, 1000)), options={"crf": "20", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame[:height, :width].copy(), "rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return _data_url("video/mp4", file.getvalue())


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
