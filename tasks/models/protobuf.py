"""Reading protobuf messages without their descriptions: field by field, as places of bytes in a
file.

See https://protobuf.dev/programming-guides/encoding: a field is a number with a wire type, and then
its value.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Content = mmap.mmap | bytes
Span = tuple[int, int]  # first byte and the one behind the last
Field = tuple[int, int | Span]  # number, and value or place


class Damaged(ValueError):
    """The bytes are no such message."""


def only(found: Iterator[Field], known: set[int]) -> Iterator[Field]:
    """The fields; raises Damaged for one that is not known."""
    for number, value in found:
        if number not in known:
            raise Damaged(f"a field {number} that is not known")
        yield number, value


def fields(content: Content, span: Span) -> Iterator[Field]:
    """The fields of a message: whole numbers (wire type 0), and places of bytes (2) and of 4 bytes
    (5). Or Damaged.
    """
    at, end = span
    while at < end:
        tag, at = varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        value, at = (4, at) if wire == 5 else varint(content, at, end)
        if wire == 0:
            yield number, value
        elif wire in (2, 5) and value <= end - at:
            yield number, (at, at + value)
            at += value
        else:
            raise Damaged("it is truncated, or no such message")


def varint(content: Content, at: int, end: int) -> tuple[int, int]:
    """A number in groups of 7 bits, lowest first, and where the next byte is."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= end:
            raise Damaged("it is truncated")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Damaged("a number of more than 64 bits")


def packed(content: Content, span: Span) -> list[int]:
    """Numbers one after the other."""
    at, end = span
    values = []
    while at < end:
        value, at = varint(content, at, end)
        values.append(value)
    return values


def place(value: int | Span) -> Span:
    """The value of a field that must be bytes."""
    if isinstance(value, int):
        raise Damaged("a number where bytes should be")
    return value


def whole(value: int | Span) -> int:
    """The value of a field that must be a whole number."""
    if not isinstance(value, int):
        raise Damaged("bytes where a number should be")
    return value


def text(content: Content, span: Span) -> str:
    """Bytes as UTF-8; raises ValueError where they are none."""
    return content[span[0] : span[1]].decode("utf-8")
