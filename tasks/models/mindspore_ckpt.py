"""Reads MindSpore's .ckpt without MindSpore: a protobuf message of named tensors.

The message (mindspore/train/checkpoint.proto): Checkpoint has Values (1); a Value has a tag (1, the
name) and a tensor (2) with dims (1), a type (2, "Float32") and content (3, the numbers). A tensor
of more than 512 MB is several Values with the same tag, which hold its numbers in order.

The package protobuf would hold the whole file in memory twice; the small reader here keeps
positions in the file. See https://protobuf.dev/programming-guides/encoding: a message is a sequence
of fields, each a field number with a wire type, followed by its value.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.configs.errors import BadModel
from curate.tasks.models.layouts import DTYPES, strange
from curate.tasks.models.stored import Stored

_TYPES = {
    "Float64": "F64", "Float32": "F32", "Float16": "F16", "BFloat16": "BF16", "Int64": "I64",
    "Int32": "I32", "Int16": "I16", "Int8": "I8", "UInt8": "U8", "Bool": "BOOL",
}  # fmt: skip
_CHECKSUM = b"crc_num"  # followed by 10 bytes, at the end of a file saved with crc_check

_Bytes = tuple[int, int]  # positions in the file: first byte, and the one after the last


class _Damaged(ValueError):
    """The bytes are not a valid message."""


def tensors(file: Path) -> dict[str, Stored]:
    """The tensors of a checkpoint by name.

    Raises BadModel if it is not a checkpoint, or is truncated or encrypted.
    """
    try:
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _tensors(content, file)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    except ValueError as error:  # an empty file cannot be mapped; a name is not UTF-8; _Damaged
        why = f"it is no MindSpore checkpoint, or damaged: {error}"
        raise BadModel(path=file, why=why) from None


def _tensors(content: mmap.mmap, file: Path) -> dict[str, Stored]:
    end = len(content)
    tail = len(_CHECKSUM) + 10
    if end > tail and content[end - tail : end - 10] == _CHECKSUM:
        end -= tail
    by_name: dict[str, Stored] = {}
    for _, value in _fields(content, (0, end), {1}):
        name, part = _named_tensor(content, _as_bytes(value), file)
        if before := by_name.get(name):
            if (before.shape, before.dtype) != (part.shape, part.dtype):
                raise _Damaged(f"{name[:100]} is there twice")
            part = Stored(file, part.dtype, part.shape, before.runs + part.runs)
        by_name[name] = part
    for name, stored in by_name.items():
        size = math.prod(stored.shape) * np.dtype(DTYPES[stored.dtype]).itemsize
        if sum(length for _, length in stored.runs) != size:
            raise _Damaged(f"numbers of {name[:100]} are missing")
    return by_name


def _named_tensor(content: mmap.mmap, span: _Bytes, file: Path) -> tuple[str, Stored]:
    parts = dict(_fields(content, span, {1, 2}))
    if parts.keys() != {1, 2}:
        raise _Damaged("a value has no name or no tensor")
    dims: list[int] = []
    dtype, run = "", (0, 0)
    for number, value in _fields(content, _as_bytes(parts[2]), {1, 2, 3}):
        if number == 1 and isinstance(value, int):
            dims.append(value)
        elif number == 1:  # packed numbers
            at, end = _as_bytes(value)
            while at < end:
                size, at = _varint(content, at, end)
                dims.append(size)
        elif number == 2:
            dtype = _text(content, value)
        else:
            start, end = _as_bytes(value)
            run = (start, end - start)
    if dtype not in _TYPES:
        raise _Damaged(f"numbers of type {dtype[:40]!r}")
    if why := strange(dims):
        raise _Damaged(f"a tensor has {why}")
    shape = () if dims == [0] else tuple(dims)  # a scalar by an older version
    return _text(content, parts[1]), Stored(file, _TYPES[dtype], shape, (run,))


def _fields(
    content: mmap.mmap, span: _Bytes, known: set[int]
) -> Iterator[tuple[int, int | _Bytes]]:
    """The fields of a message: integers (wire type 0), or positions of bytes (2) or 4 bytes (5).

    Raises _Damaged, also for an unknown field.
    """
    at, end = span
    while at < end:
        tag, at = _varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        value, at = (4, at) if wire == 5 else _varint(content, at, end)
        if wire not in (0, 2, 5) or (wire and value > end - at):
            raise _Damaged("it is truncated, or no such message")
        if number not in known:
            raise _Damaged(f"a field {number} that is not known")
        if wire == 0:
            yield number, value
        else:
            yield number, (at, at + value)
            at += value


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number in groups of 7 bits, lowest first, and the position of the next byte."""
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


def _as_bytes(value: int | _Bytes) -> _Bytes:
    if isinstance(value, int):
        raise _Damaged("a number where bytes should be")
    return value


def _text(content: mmap.mmap, value: int | _Bytes) -> str:
    start, end = _as_bytes(value)
    return content[start:end].decode("utf-8")
