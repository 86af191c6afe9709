"""Draws H.264 of which each picture is stored as a pair of fields (PAFF), which x264 never does.

Each macroblock holds plain samples (I_PCM), so an encoder is short. A frame is 32 x 32 pixels of
one luma per field.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

_START = b"\0\0\0\1"
_HIGH = 100


class _Bits:
    def __init__(self) -> None:
        self._text = ""

    def u(self, length: int, value: int) -> _Bits:
        self._text += f"{value:0{length}b}"
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            code = f"{value + 1:b}"
            self._text += "0" * (len(code) - 1) + code
        return self

    def align(self, fill: str = "0") -> _Bits:
        self._text += fill * (-len(self._text) % 8)
        return self

    def raw(self, data: bytes) -> _Bits:
        self._text += "".join(f"{byte:08b}" for byte in data)
        return self

    def nal(self, header: int) -> bytes:
        """The unit: every stop bit and escape that the standard asks for, behind a start code."""
        self.u(1, 1).align()
        data = int(self._text, 2).to_bytes(len(self._text) // 8, "big")
        escaped = bytearray()
        for byte in data:
            if byte <= 3 and escaped[-2:] == b"\0\0":
                escaped.append(3)
            escaped.append(byte)
        return _START + bytes([header]) + bytes(escaped)


def parameters(scaling_lists: bool = False) -> bytes:
    """Sequence and picture parameters: frames may be coded as two fields; level 3."""
    sps = _Bits().u(8, _HIGH).u(8, 0).u(8, 30).ue(0, 1, 0, 0).u(1, 0)  # 4:2:0, 8 bits
    sps.u(1, int(scaling_lists))
    if scaling_lists:
        sps.u(1, 1)
        for _ in range(16):  # each delta 0 but for the first: 8, 8, 8 ...
            sps.ue(0)
        sps.u(7, 0)
    sps.ue(0, 2, 1).u(1, 0).ue(1, 0)  # frame_num of 4 bits, order of output is that of decoding
    sps.u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(1, 0)  # frames or fields
    pps = _Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100)
    return sps.nal(0x67) + pps.nal(0x68)


def write_pairs(path: Path, units: Sequence[bytes], together: bool = False) -> Path:
    """Store the access units of pairs of fields, 25 pairs a second, and return the path.

    Each is a packet of its own, or both of a pair are `together` in one.
    """
    if path.suffix == ".h264":
        path.write_bytes(b"".join(units))
        return path
    if together:
        units = [first + second for first, second in zip(units[::2], units[1::2], strict=True)]
    base = Fraction(1, 25 if together else 50)
    with av.open(str(path), "w") as output:
        stream = output.add_mux_stream("h264", 1 / base, width=32, height=32)
        stream.time_base = base
        for index, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = base, stream
            packet.is_keyframe = unit.startswith(_START + b"\x67")
            output.mux(packet)
    return path


def _slice(number: int, field: int | None, is_key: bool, lumas: Sequence[int]) -> bytes:
    """A picture: a frame, or the field 0 (top) or 1; `lumas` are those of its macroblocks."""
    idr = is_key and field != 1
    bits = _Bits().ue(0, 7, 0).u(4, number % 16)
    bits.u(1, 0) if field is None else bits.u(2, 0b10 | field)
    if idr:
        bits.ue(0).u(2, 0)
    else:
        bits.u(1, 0)  # no memory management
    bits.ue(0).ue(1)  # quantiser as in the parameters; no deblocking
    for luma in lumas:
        bits.ue(25).align().raw(bytes([luma]) * 256 + bytes([128]) * 128)
    return bits.nal(0x65 if idr else 0x61)


def pictures(pairs: Sequence[bool], key_every: int = 8, scaling_lists: bool = False) -> list[bytes]:
    """What is stored of each picture, of those that are True as a pair of fields.

    Returned are access units in order: two for a pair, one for a frame.
    """
    units = []
    for index, is_pair in enumerate(pairs):
        is_key = index % key_every == 0
        head = parameters(scaling_lists) if is_key else b""
        number, luma = index % key_every, 40 + 4 * (index % 40)
        if is_pair:
            units.append(head + _slice(number, 0, is_key, [luma] * 2))
            units.append(_slice(number, 1, is_key, [luma + 20] * 2))
        else:
            units.append(head + _slice(number, None, is_key, [luma] * 4))
    return units
