"""Names of the colour tags of frames."""

from __future__ import annotations

from collections.abc import Mapping

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


def tag_name(tag: int, names: Mapping[int, str]) -> str | None:
    """The name of a tag, such as bt2020, among these; None where the stream claims none."""
    return None if tag in _UNSPECIFIED else names.get(tag, str(tag))
