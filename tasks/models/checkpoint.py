"""Reads safetensors: a header that is checked against the file's size, and mapped tensors.

The format (8 bytes of length, a JSON header, the numbers) is described at
https://github.com/huggingface/safetensors#format. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from curate.configs.errors import BadModel
from curate.tasks.models.layouts import DTYPES, Shape, Shapes, strange

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"  # of weights in several files
PICKLE = "pytorch_model.bin"  # written by torch.save; only captioners are read from it
PICKLE_INDEX = f"{PICKLE}.index.json"
CONFIG = "config.json"
FLOATS = {"F32": 4, "F16": 2, "BF16": 2}  # bytes per number
_SIZES = {**FLOATS, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
_LARGEST_CONFIG = 1 << 20
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # first bytes, by protocol


@dataclass(frozen=True)
class Tensor:
    """A tensor as its header describes it: shape, type and first byte.

    The type has its name in the format (F32, F16, BF16, I64).
    """

    shape: Shape
    dtype: str
    start: int


def read_config(file: Path) -> dict[str, Any]:
    """The object in a config.json. Raises BadModel if the file holds none."""
    try:
        text = file.read_bytes() if file.stat().st_size <= _LARGEST_CONFIG else b""
        config = json.loads(text)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    except (ValueError, RecursionError):
        raise BadModel(path=file, why="it is not JSON") from None
    if not isinstance(config, dict):
        raise BadModel(path=file, why="it is no JSON object")
    return config


def problems(tensors: Mapping[str, Tensor], needed: Shapes, allowed: Shapes) -> Iterable[str]:
    """The differences between the tensors and those needed; empty if there are none.

    Tensors in `allowed` may be there as well.
    """
    shapes = {**allowed, **needed}
    lists = {
        "missing": [name for name in needed if name not in tensors],
        "left over": [name for name in tensors if name not in shapes],
        "another shape": [
            f"{name} {list(t.shape)} instead of {list(shapes[name])}"
            for name, t in tensors.items()
            if name in shapes and t.shape != shapes[name]
        ],
        "no number": [
            f"{name} is {t.dtype}"
            for name, t in tensors.items()
            if (name in needed and t.dtype not in FLOATS) or (name in allowed and t.dtype != "I64")
        ],
    }
    for what, names in lists.items():
        if names:
            yield f"{len(names)} of {len(needed)} tensors {what}: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    some = ", ".join(name[:100] for name in names[:3])
    return f"{some}, …" if len(names) > 3 else some


def header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in the order of their numbers.

    Raises BadModel if it is not a complete safetensors file.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(0)
            start = opened.read(8)
            length = struct.unpack("<Q", start.ljust(8, b"\0"))[0]
            text = opened.read(length) if length <= _LARGEST_HEADER else b""
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    # unpickling a torch file runs code, and people rename what they download
    if start[:4] == b"PK\x03\x04" or (start[:2] in _PICKLES and text[:1] != b"{"):
        why = (
            "it is a pickle, not safetensors; read it without running it by: "
            f"`curate models convert {quote(str(file))}`"
        )
    elif len(start) < 8:
        why = f"it is truncated: {size} bytes"
    elif not 2 <= length <= _LARGEST_HEADER:
        why = f"it is not safetensors: a header of {length} bytes; the most is {_LARGEST_HEADER}"
    elif 8 + length > size:
        why = f"it is truncated: {size} bytes, and its header alone has {length}"
    else:
        return _contiguous(_parsed(text, 8 + length, file), 8 + length, size, file)
    raise BadModel(path=file, why=why)


def _parsed(text: bytes, base: int, file: Path) -> dict[str, Tensor]:
    """The tensors in a header; their numbers begin at byte `base` of the file."""
    try:
        entries = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        why = f"it is not safetensors: its header is not JSON ({str(error)[:80]})"
        raise BadModel(path=file, why=why) from None
    if not isinstance(entries, dict):
        raise BadModel(path=file, why="it is not safetensors: its header is no JSON object")
    entries.pop("__metadata__", None)
    tensors = {}
    for name, entry in entries.items():
        try:
            tensors[name] = _tensor(entry, base)
        except ValueError as error:
            why = f"it is not safetensors: what its header says of {name[:100]} cannot be: {error}"
            raise BadModel(path=file, why=why) from None
    return tensors


def _tensor(entry: Any, base: int) -> Tensor:
    """The tensor that an entry of a header describes. Raises ValueError: what is wrong with it."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise ValueError("its dtype, shape or data_offsets are missing, or of another kind")
    if dtype not in _SIZES:
        raise ValueError(f"dtype {dtype[:20]}, which curate does not read")
    if why := strange(shape):
        raise ValueError(f"a shape of {why}")
    needed = math.prod(shape) * _SIZES[dtype]
    if start < 0 or end - start != needed:
        raise ValueError(f"its shape takes {needed} bytes, and its data_offsets do not")
    return Tensor(tuple(shape), dtype, base + start)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its pairs. Raises ValueError for a duplicate name."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name is there twice")
    return entries


def _contiguous(tensors: dict[str, Tensor], base: int, size: int, file: Path) -> dict[str, Tensor]:
    """The tensors in order; they must be contiguous up to the last byte of the file."""
    ordered = dict(
        sorted(tensors.items(), key=lambda item: (item[1].start, math.prod(item[1].shape)))
    )
    end = base
    for name, tensor in ordered.items():
        if tensor.start != end:
            why = f"it is not safetensors: {name[:100]} is not where it should be"
            raise BadModel(path=file, why=why)
        end += math.prod(tensor.shape) * _SIZES[tensor.dtype]
    if size != end:
        what = "truncated" if size < end else "too long"
        raise BadModel(path=file, why=f"it is {what}: {size} bytes, and its header speaks of {end}")
    return ordered


def arrays(
    file: Path, names: Iterable[str] | None = None, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """Tensors of a safetensors file by full name.

    Returns those in `names` (None: all) that begin with `prefix`. float32 and integers are
    read-only maps of the file, which use no memory until they are read; float16 and bfloat16 become
    float32, which represents all their values exactly. Raises BadModel.
    """
    import numpy as np

    tensors = header(file)
    chosen = [n for n in (tensors if names is None else names) if n.startswith(prefix)]
    missing = [n for n in chosen if n not in tensors]
    if missing:
        raise BadModel(path=file, why=f"it lacks {_some(missing)}")
    # one map of the whole file: one per tensor would keep a file open for each
    content = np.asarray(np.memmap(file, np.uint8, "r"))
    by_name = {}
    for name in chosen:
        tensor = tensors[name]
        dtype = np.dtype(DTYPES[tensor.dtype])
        if count := math.prod(tensor.shape):
            numbers = content[tensor.start : tensor.start + count * dtype.itemsize].view(dtype)
        else:
            numbers = np.zeros(0, dtype)
        by_name[name] = float32(numbers.reshape(tensor.shape), tensor.dtype)
    return by_name


def float32(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """An array of type `dtype` as float32; BF16, given as uint16, is padded with zero bits."""
    if dtype == "F16":
        return array.astype("float32")
    if dtype == "BF16":
        return (array.astype("uint32") << 16).view("float32")
    return array if array.flags.aligned else array.copy()  # headers may leave them unaligned


def revision(file: Path) -> str:
    """The first 12 hex digits of the file's SHA-256, which identify the weights."""
    return digest(file)[:12]


def digest(file: Path) -> str:
    """The file's SHA-256 in hex digits, computed once per process and state of the file."""
    status = file.stat()
    return _digest(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _digest(file: Path, _size: int, _mtime_ns: int) -> str:
    return sha256(file)


def sha256(file: Path) -> str:
    """The file's SHA-256 in hex digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
