"""Tells which packets of a stream show a picture, by their first bytes.

Some only hold a picture for others to refer to, and some the second field of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from av.buffer import Buffer
from av.packet import Packet
from av.video.stream import VideoStream

from curate.tasks.video.h264 import PARAMETERS, Bits, SequenceParameters

# types of units
_SLICES = (1, 5)
_HEAD = 512  # bytes of a unit, which hold whatever is read of it


class _Field(NamedTuple):
    number: int
    is_bottom: bool

    @classmethod
    def of(cls, unit: bytes, sequence: SequenceParameters) -> _Field | None:
        """The field that a slice is of; None: it is one of a frame, or damaged."""
        bits = Bits(unit[:40])
        with suppress(ValueError):
            bits.ue(), bits.ue(), bits.ue(), bits.u(2 * sequence.separate_planes)
            number = bits.u(sequence.number_bits)
            if bits.u(1):
                return cls(number, bool(bits.u(1)))
        return None


class Shown:
    """Follows the packets of a stream in the order of decoding."""

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        self._codec = context.codec.canonical_name
        self._pairs = FieldPairs(context.extradata) if self._codec == "h264" else None

    def has_picture(self, packet: Packet[VideoStream]) -> bool:
        """Whether a player shows what is in the packet: no edit list nor the codec hides it.

        VP8 and VP9 have pictures that are only there for others to refer to, as their first byte
        says. A packet of VP9 that holds several, as its last byte says, shows one of them.
        """
        if not packet.size or packet.is_discard:
            return False
        if self._codec not in ("vp8", "vp9"):
            return True
        data = memoryview(packet)
        if self._codec == "vp8":
            return bool(data[0] & 0x10)
        if data[-1] & 0xE0 == 0xC0:
            return True
        header = data[0] << 1 if data[0] & 0x30 == 0x30 else data[0]  # profile 3 has a bit more
        shows_existing, shows = header & 0x08, header & 0x02
        return bool(shows_existing or shows)

    def completes(self, packet: Packet[VideoStream]) -> bool:
        """Whether the packet only holds the second field of the picture of the one before.

        All packets are passed, in order.
        """
        pairs = self._pairs
        return pairs is not None and pairs.completes(packet, packet.is_keyframe)


class FieldPairs:
    """Follows the packets of an H.264 stream, in which a picture may be stored as two fields.

    Each is in a packet of its own there, or both are in one.
    """

    def __init__(self, extradata: bytes | None) -> None:
        head = extradata or b""
        self._prefix = 0  # bytes before each unit that tell its length; 0: start codes
        self._sequence: SequenceParameters | None = None
        self._field: _Field | None = None  # of the last slice; None: it was one of a frame
        self._is_second = False  # whether that field completes a pair
        if head[:1] == b"\1" and len(head) > 8:  # as in an mp4
            self._prefix = (head[4] & 3) + 1
            self._sequence = SequenceParameters.of(head[8:])
        else:
            self.completes(head, True)

    def completes(self, packet: Buffer | bytes, is_keyframe: bool) -> bool:
        """Whether the packet begins no picture, as its field belongs to the picture before it."""
        if not is_keyframe and (self._sequence is None or self._sequence.frames_only):
            return False
        begins = slices = 0
        for unit in self._units(bytes(packet)):
            kind = unit[0] & 31
            if kind == PARAMETERS:
                self._sequence = SequenceParameters.of(unit) or self._sequence
            elif kind in _SLICES:
                if self._sequence is None or self._sequence.frames_only:
                    return False
                slices += 1
                begins += self._begins_picture(_Field.of(unit, self._sequence))
        return slices > 0 and not begins

    def _begins_picture(self, field: _Field | None) -> bool:
        """Whether the next slice is not one of the same picture as the last."""
        last, self._field = self._field, field
        if field is None or last is None or field.number != last.number:
            self._is_second = False
            return True
        if field == last:
            return False
        self._is_second = not self._is_second
        return not self._is_second

    def _units(self, data: bytes) -> Iterator[bytes]:
        """The beginnings of the units of a packet."""
        end = 0
        while True:
            if self._prefix:
                start = end + self._prefix
                end = start + int.from_bytes(data[end:start], "big")
            else:
                code = data.find(b"\0\0\1", end)
                start = end = code + 3 if code >= 0 else len(data)
            if start >= len(data):
                return
            yield data[start : start + _HEAD]
