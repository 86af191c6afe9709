"""Names of the colour tags of frames, and what the colours of a frame are in RGB."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from curate.configs.row_errors import UnsupportedColours

# as ffmpeg names them: the transfer characteristics, and the colour primaries
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_UNSPECIFIED = (0, 2, 3)
# shares of red and blue in the luma (ITU-T H.273, table 4), by the tag of the colour space; what is
# not tagged counts as BT.601, as swscale has it
_LUMA = {
    1: (0.2126, 0.0722), 2: (0.299, 0.114), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
    7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip
# of the colour spaces that swscale does not know (ITU-T H.273, table 4)
_SPACES = {
    3: "reserved", 8: "ycgco", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip


def refuse_colours(path: str, frame: VideoFrame) -> None:
    """Raise UnsupportedColours where a frame's colour space is one that nothing here converts."""
    space = int(frame.colorspace)
    if space and space not in _LUMA:  # 0: RGB
        raise UnsupportedColours(path=path, space=_SPACES.get(space, str(space)))


def tag_name(tag: int, names: Mapping[int, str]) -> str | None:
    """The name of a tag, such as bt2020, among these; None where the stream claims none."""
    return None if tag in _UNSPECIFIED else names.get(tag, str(tag))


def is_full_range(frame: VideoFrame) -> bool:
    """Whether the luma of a YUV frame of 8 bits runs from 0 to 255, not from 16 to 235."""
    return "j" in frame.format.name or frame.color_range == ColorRange.JPEG


@cache
def rgb_matrix(space: int, full: bool) -> NDArray[np.float32] | None:
    """3 x 4: R, G, B of Y, U, V (8 bits each) and 1; None for a colour space that has none.

    `space` is the tag of the colour space; `full`: whether frames are of full range.
    """
    if space not in _LUMA:
        return None
    red, blue = _LUMA[space]
    green = 1 - red - blue
    light, colour = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    u = 2 * (1 - blue) * colour
    v = 2 * (1 - red) * colour
    matrix = np.array([[light, 0, v], [light, -u * blue / green, -v * red / green], [light, u, 0]])
    black = np.array([0 if full else 16, 128, 128])
    return np.hstack([matrix, -(matrix @ black)[:, None]]).astype(np.float32)
