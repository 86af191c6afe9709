"""Reads what the parameter sets of H.264 say of a stream, as ITU-T H.264, 7.3.2.1.1, has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from typing import NamedTuple

# types of units
SLICES = range(1, 6)
IDR_SLICE = 5  # of a picture before which nothing is referred to
PARAMETERS = 7
PICTURE_PARAMETERS = 8

_WITH_CHROMA = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)  # profiles
_OWN_RATIO = 255  # the code of a pixel's shape that stands in the stream itself


class SequenceParameters(NamedTuple):
    """What sequence parameters say of pictures and of the headers of slices."""

    frames_only: bool
    number_bits: int
    separate_planes: bool
    rest: Bits  # behind frames_only

    @classmethod
    def of(cls, unit: bytes) -> SequenceParameters | None:
        """None: they are damaged."""
        bits = Bits(unit)
        with suppress(ValueError):
            profile = bits.u(8)
            bits.u(16)
            bits.ue()
            separate_planes = False
            if profile in _WITH_CHROMA:
                chroma = bits.ue()
                separate_planes = chroma == 3 and bool(bits.u(1))
                bits.ue(), bits.ue(), bits.u(1)
                if bits.u(1):
                    for number in range(12 if chroma == 3 else 8):
                        if bits.u(1):
                            bits.skip_scaling_list(16 if number < 6 else 64)
            number_bits = bits.ue() + 4
            order = bits.ue()
            if order == 0:
                bits.ue()
            elif order == 1:
                bits.u(1), bits.ue(), bits.ue()
                for _ in range(bits.ue()):
                    bits.ue()
            bits.ue(), bits.u(1), bits.ue(), bits.ue()
            return cls(bool(bits.u(1)), number_bits, separate_planes, bits)
        return None

    @property
    def tells_order(self) -> bool:
        """Whether they say how many pictures are shown later than they are decoded (E.1.1,
        bitstream_restriction_flag); players guess it otherwise, and may show the first ones in
        another order.
        """
        bits = copy(self.rest)
        with suppress(ValueError):
            bits.u(2 - self.frames_only)  # fields of macroblocks, direct prediction
            if bits.u(1):  # a crop
                bits.ue(), bits.ue(), bits.ue(), bits.ue()
            if not bits.u(1):  # nothing on usability
                return False
            if bits.u(1) and bits.u(8) == _OWN_RATIO:
                bits.u(32)
            if bits.u(1):  # overscan
                bits.u(1)
            if bits.u(1) and bits.u(5) & 1:  # the signal, and its colours
                bits.u(24)
            if bits.u(1):  # places of chroma
                bits.ue(), bits.ue()
            if bits.u(1):  # times
                bits.u(65)
            any_buffer = False
            for _ in range(2):  # of units, of the stream
                if bits.u(1):
                    any_buffer = True
                    _skip_buffer(bits)
            bits.u(2 if any_buffer else 1)
            return bool(bits.u(1))
        return False


def _skip_buffer(bits: Bits) -> None:
    """Skip what is said of a decoder's buffer (E.1.2)."""
    count = bits.ue() + 1
    bits.u(8)
    for _ in range(count):
        bits.ue(), bits.ue(), bits.u(1)
    bits.u(20)


def units(data: bytes, prefix: int) -> Iterator[memoryview]:
    """The units of a packet, each of which begins with its length in `prefix` bytes, as in an mp4.

    The last one may be cut off.
    """
    view = memoryview(data)
    end = 0
    while (start := end + prefix) < len(data):
        end = start + int.from_bytes(view[end:start], "big")
        if end > start:
            yield view[start:end]


class Bits:
    """Reads the bits of a unit, without the bytes that keep start codes out of it."""

    def __init__(self, unit: bytes) -> None:
        data = b"\1" + unit[1:].replace(b"\0\0\3", b"\0\0")
        self._bits = f"{int.from_bytes(data, 'big'):b}"
        self._position = 1

    def u(self, length: int) -> int:
        """An unsigned number of so many bits. Raises ValueError behind the end."""
        start = self._position
        self._position += length
        return int(self._bits[start : self._position], 2) if length else 0

    def ue(self) -> int:
        """An unsigned number in exponential Golomb code. Raises ValueError behind the end."""
        zeros = self._bits.index("1", self._position) - self._position
        self._position += zeros
        return self.u(zeros + 1) - 1

    def skip_scaling_list(self, length: int) -> None:
        """Skip the list of so many numbers by which coefficients are scaled."""
        last = following = 8
        for _ in range(length):
            if following:
                code = self.ue()
                following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
            last = following or last
