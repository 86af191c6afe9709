"""Writes weights as torch.save and MindSpore do, without either, so that converting can be tested
at real shapes.

tests/tasks/models/data holds real files of both; a test holds these writers against them.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
STORAGES = {
    "float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage",
    "float64": "DoubleStorage",
    "uint16": "BFloat16Storage",  # NumPy lacks it: its bits
}  # fmt: skip
OLD_MAGIC = 0x1950A86A20F9469CFC6C
STOP = b"."


def number(value: int) -> bytes:
    """A whole number as a pickle has it."""
    return pickle.dumps(value, 2)[2:-1]


def text(value: str) -> bytes:
    """A text as a pickle has it."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def tuple_of(parts: Iterable[bytes]) -> bytes:
    """A tuple of parts that are pickled already."""
    return b"(" + b"".join(parts) + b"t"


def named(module: str, name: str) -> bytes:
    """What a pickle names, and an Unpickler looks up."""
    return f"c{module}\n{name}\n".encode()


def storage(kind: str, key: str, count: int, old: bool = False) -> bytes:
    """A row of numbers, which the file holds elsewhere."""
    parts = [text("storage"), named("torch", kind), text(key), text("cpu"), number(count)]
    return tuple_of([*parts, b"N"] if old else parts) + b"Q"


def tensor(stored: bytes, offset: int, shape: Sequence[int], strides: Sequence[int]) -> bytes:
    """A view of a storage."""
    hooks = named("collections", "OrderedDict") + b")R"
    numbers = [number(offset), tuple_of(map(number, shape)), tuple_of(map(number, strides))]
    return (
        named("torch._utils", "_rebuild_tensor_v2")
        + tuple_of([stored, *numbers, b"\x89", hooks])
        + b"R"
    )


def whole(array: NDArray[Any], key: str, old: bool = False) -> bytes:
    """A tensor that is all of its storage."""
    strides = [math.prod(array.shape[place + 1 :]) for place in range(array.ndim)]
    return tensor(
        storage(STORAGES[array.dtype.name], key, array.size, old), 0, array.shape, strides
    )


def dictionary(items: Mapping[str, bytes]) -> bytes:
    """A dictionary of values that are pickled already."""
    return b"}(" + b"".join(text(name) + value for name, value in items.items()) + b"u"


def state_dict(arrays: Arrays, old: bool = False) -> bytes:
    """The arrays under their names, their numbers under 0, 1, …"""
    return dictionary(
        {name: whole(array, str(key), old) for key, (name, array) in enumerate(arrays.items())}
    )


def save(path: Path, arrays: Arrays) -> Path:
    """Write a file as torch.save does."""
    return archive(
        path, state_dict(arrays), {str(n): a.tobytes() for n, a in enumerate(arrays.values())}
    )


def archive(path: Path, content: bytes, numbers: Mapping[str, bytes]) -> Path:
    """Write a zip archive as torch does: a pickle, and numbers by their keys."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", b"\x80\x02" + content + STOP)
        made.writestr("archive/byteorder", "little")
        for key, raw in numbers.items():
            made.writestr(f"archive/data/{key}", raw)
        made.writestr("archive/version", "3\n")
    return path


def save_old(path: Path, arrays: Arrays) -> Path:
    """Write a file as torch.save did before 1.6."""
    host = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    keys = [str(n) for n in range(len(arrays))]
    pickles = [pickle.dumps(value, 2) for value in (OLD_MAGIC, 1001, host)]
    pickles += [b"\x80\x02" + state_dict(arrays, old=True) + STOP, pickle.dumps(keys, 2)]
    numbers = [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    path.write_bytes(b"".join(pickles + numbers))
    return path


def varint(value: int) -> bytes:
    """A number as protobuf has it."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number_: int, raw: bytes) -> bytes:
    """A field of bytes."""
    return varint(number_ << 3 | 2) + varint(len(raw)) + raw


def checkpoint_value(name: str, array: NDArray[Any], raw: bytes | None = None) -> bytes:
    """One value of a MindSpore checkpoint; `raw` is a part of the numbers."""
    dims = b"".join(b"\x08" + varint(n) for n in array.shape)
    kind = {"float32": "Float32", "float16": "Float16", "int64": "Int64"}[array.dtype.name]
    content = field(2, kind.encode()) + field(3, array.tobytes() if raw is None else raw)
    return field(1, field(1, name.encode()) + field(2, dims + content))


def save_checkpoint(path: Path, arrays: Arrays) -> Path:
    """Write a checkpoint as MindSpore does."""
    path.write_bytes(b"".join(checkpoint_value(name, array) for name, array in arrays.items()))
    return path
