"""Names of the colour tags of frames."""

from __future__ import annotations

from av.video.frame import VideoFrame

# as ffmpeg names them
_TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_UNSPECIFIED = (0, 2, 3)


def transfer_name(frame: VideoFrame) -> str | None:
    """The transfer characteristics, such as arib-std-b67; None where the stream claims none."""
    tag = int(frame.color_trc)
    return None if tag in _UNSPECIFIED else _TRANSFERS.get(tag, str(tag))


def primaries_name(frame: VideoFrame) -> str | None:
    """The colour primaries, such as bt2020; None where the stream claims none."""
    tag = int(frame.color_primaries)
    return None if tag in _UNSPECIFIED else _PRIMARIES.get(tag, str(tag))
