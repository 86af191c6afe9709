"""Reading MindSpore's .ckpt without MindSpore: a protobuf message of named tensors.

The message (mindspore/train/checkpoint.proto): Checkpoint has Values (1); a Value has a tag (1, the name) and a
tensor (2) with dims (1), a type (2, "Float32") and content (3, the numbers). A tensor of more than 512 MB is several
Values of one tag, its numbers in turn. protobuf's own reader would hold the whole file twice; this one holds places.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.configs.errors import BadModel
from curate.tasks.models.stored import DTYPES, Stored

_TYPES = {
    "Float64": "F64", "Float32": "F32", "Float16": "F16", "BFloat16": "BF16", "Int64": "I64", "Int32": "I32",
    "Int16": "I16", "Int8": "I8", "UInt8": "U8", "Bool": "BOOL",
}  # fmt: skip
_CHECKSUM = b"crc_num"  # then 10 bytes, at the end, where crc_check was asked for
Span = tuple[int, int]  # first byte and the one behind the last
Field = tuple[int, int | Span]  # number, and value or place


class _Damaged(ValueError):
    """The bytes are no such message."""


def tensors(file: Path) -> dict[str, Stored]:
    """The tensors of a checkpoint by their names. Raises BadModel when it is none, truncated or encrypted."""
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _tensors(content, file)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    except ValueError as error:  # an empty file has no map; _Damaged
        raise BadModel(path=file, why=f"it is no MindSpore checkpoint, or damaged: {error}") from None


def _tensors(content: mmap.mmap, file: Path) -> dict[str, Stored]:
    end = len(content)
    tail = len(_CHECKSUM) + 10
    if end > tail and content[end - tail : end - 10] == _CHECKSUM:
        end -= tail
    found: dict[str, Stored] = {}
    for _, value in _only(_fields(content, (0, end)), {1}):
        name, made = _value(content, _span(value), file)
        before = found.get(name)
        if before is not None and (before.shape, before.dtype) != (made.shape, made.dtype):
            raise _Damaged(f"{name[:100]} is there twice")
        found[name] = made if before is None else Stored(file, made.dtype, made.shape, before.runs + made.runs)
    for name, stored in found.items():
        if (
            sum(length for _, length in stored.runs)
            != math.prod(stored.shape) * np.dtype(DTYPES[stored.dtype]).itemsize
        ):
            raise _Damaged(f"numbers of {name[:100]} are missing")
    return found


def _value(content: mmap.mmap, span: Span, file: Path) -> tuple[str, Stored]:
    parts = dict(_only(_fields(content, span), {1, 2}))
    if parts.keys() != {1, 2}:
        raise _Damaged("a value has no name or no tensor")
    dims: list[int] = []
    kind, run = "", (0, 0)
    for number, value in _only(_fields(content, _span(parts[2])), {1, 2, 3}):
        if number == 1:
            dims += [value] if isinstance(value, int) else _packed(content, value)
        elif number == 2:
            kind = _text(content, _span(value))
        else:
            start, end = _span(value)
            run = (start, end - start)
    if kind not in _TYPES:
        raise _Damaged(f"numbers of type {kind[:40]!r}")
    shape = () if dims == [0] else tuple(dims)  # older versions write a scalar so
    return _text(content, _span(parts[1])), Stored(file, _TYPES[kind], shape, (run,))


def _only(fields: Iterator[Field], known: set[int]) -> Iterator[Field]:
    for number, value in fields:
        if number not in known:
            raise _Damaged(f"a field {number} that is not known")
        yield number, value


def _fields(content: mmap.mmap, span: Span) -> Iterator[Field]:
    """The fields of a message: whole numbers (wire type 0) and places of bytes (wire type 2)."""
    at, end = span
    while at < end:
        tag, at = _varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        value, at = _varint(content, at, end)
        if wire == 0:
            yield number, value
        elif wire == 2 and value <= end - at:
            yield number, (at, at + value)
            at += value
        else:
            raise _Damaged("it is truncated, or no such message")


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number in groups of 7 bits, lowest first, and where the next byte is."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= end:
            raise _Damaged("it is truncated")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Damaged("a number of more than 64 bits")


def _packed(content: mmap.mmap, span: Span) -> list[int]:
    at, end = span
    values = []
    while at < end:
        value, at = _varint(content, at, end)
        values.append(value)
    return values


def _span(value: int | Span) -> Span:
    if isinstance(value, int):
        raise _Damaged("a number where bytes should be")
    return value


def _text(content: mmap.mmap, span: Span) -> str:
    return content[span[0] : span[1]].decode("utf-8")
