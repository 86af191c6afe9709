"""Reading MindSpore's .ckpt without MindSpore: a protobuf message of named tensors.

The message (mindspore/train/checkpoint.proto): Checkpoint has Values (1); a Value has a tag (1, the
name) and a tensor (2) with dims (1), a type (2, "Float32") and content (3, the numbers). A tensor
of more than 512 MB is several Values of one tag, its numbers in turn. protobuf's own reader would
hold the whole file twice; this one holds places.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path

import numpy as np

from curate.configs.errors import BadModel
from curate.tasks.models.protobuf import Damaged, Span, fields, only, packed, place, text
from curate.tasks.models.stored import DTYPES, Stored

_TYPES = {
    "Float64": "F64", "Float32": "F32", "Float16": "F16", "BFloat16": "BF16", "Int64": "I64", "Int32": "I32",
    "Int16": "I16", "Int8": "I8", "UInt8": "U8", "Bool": "BOOL",
}  # fmt: skip
_CHECKSUM = b"crc_num"  # then 10 bytes, at the end, where crc_check was asked for


def tensors(file: Path) -> dict[str, Stored]:
    """The tensors of a checkpoint by their names. Raises BadModel when it is none, truncated or
    encrypted.
    """
    try:
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _tensors(content, file)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    except ValueError as error:  # an empty file has no map; Damaged
        raise BadModel(
            path=file, why=f"it is no MindSpore checkpoint, or damaged: {error}"
        ) from None


def _tensors(content: mmap.mmap, file: Path) -> dict[str, Stored]:
    end = len(content)
    tail = len(_CHECKSUM) + 10
    if end > tail and content[end - tail : end - 10] == _CHECKSUM:
        end -= tail
    found: dict[str, Stored] = {}
    for _, value in only(fields(content, (0, end)), {1}):
        name, made = _value(content, place(value), file)
        before = found.get(name)
        if before is not None and (before.shape, before.dtype) != (made.shape, made.dtype):
            raise Damaged(f"{name[:100]} is there twice")
        found[name] = (
            made
            if before is None
            else Stored(file, made.dtype, made.shape, before.runs + made.runs)
        )
    for name, stored in found.items():
        if (
            sum(length for _, length in stored.runs)
            != math.prod(stored.shape) * np.dtype(DTYPES[stored.dtype]).itemsize
        ):
            raise Damaged(f"numbers of {name[:100]} are missing")
    return found


def _value(content: mmap.mmap, span: Span, file: Path) -> tuple[str, Stored]:
    parts = dict(only(fields(content, span), {1, 2}))
    if parts.keys() != {1, 2}:
        raise Damaged("a value has no name or no tensor")
    dims: list[int] = []
    kind, run = "", (0, 0)
    for number, value in only(fields(content, place(parts[2])), {1, 2, 3}):
        if number == 1:
            dims += [value] if isinstance(value, int) else packed(content, value)
        elif number == 2:
            kind = text(content, place(value))
        else:
            start, end = place(value)
            run = (start, end - start)
    if kind not in _TYPES:
        raise Damaged(f"numbers of type {kind[:40]!r}")
    shape = () if dims == [0] else tuple(dims)  # older versions write a scalar so
    return text(content, place(parts[1])), Stored(file, _TYPES[kind], shape, (run,))
