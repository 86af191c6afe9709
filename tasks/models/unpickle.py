"""Reads files of torch.save, torch.jit.save and pickled NumPy arrays, and executes nothing.

Such a file is a pickle, a small program that may call any function. Here it may only name the few
things that describe tensors, and gets harmless stand-ins for them; any other name is an error.
There are four formats: a zip archive (since torch 1.6), TorchScript's zip archive, the older
sequence of pickles followed by numbers, and a single pickle with arrays of NumPy in it.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.configs.errors import BadModel
from curate.tasks.models.layouts import DTYPES, Shape, strange
from curate.tasks.models.scales import KEEPING, Scales
from curate.tasks.models.stored import Stored, fits

ZIP_START = b"PK\x03\x04"
OLD_MAGIC = 0x1950A86A20F9469CFC6C
OLD_START = b"\x80\x02\x8a\x0a" + OLD_MAGIC.to_bytes(10, "little")
_LARGEST_PICKLE = 64 << 20  # bytes; ViT-L/14's has less than a million
_DEEPEST = 64  # nested modules
_MOST_VALUES = 1_000_000
_MOST_STEPS = 50_000_000  # of hashing a pickle's values; ViT-L/14's needs < 1,000,000
# opcodes of bytes, and how many bytes come before them
_BYTES = {"SHORT_BINBYTES": 2, "BINBYTES": 5, "BINBYTES8": 9}
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
# errors from reading an invalid pickle or archive; RuntimeError: it is encrypted, of a newer
# version, or endlessly recursive
_SENSELESS = (
    RuntimeError, pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, TypeError,
    ValueError, OverflowError, MemoryError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """A sequence of numbers in the file, under its name in the pickle."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class TensorView:
    """A tensor as the pickle describes it: a view of a storage."""

    storage: Storage
    offset: int
    shape: Shape
    strides: Shape


Runs = dict[str, tuple[int, int]]  # first byte and length of each storage in the file


class _Refused(pickle.UnpicklingError):
    """The pickle names something that weights do not need."""


def tensors(file: Path) -> dict[str, Stored]:
    """The tensors of a torch file by name; dots separate nested names.

    Arrays of NumPy in a pickle count as tensors. Raises BadModel if it is not such a file, is
    damaged, or its pickle needs more than tensors.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(len(OLD_START))
        read = _old if start == OLD_START else _plain if start[:1] == b"\x80" else _archive
        content, runs = read(file)
        size = file.stat().st_size
        by_name = {}
        for name, view in _flat(content, "", 0, iter(range(_MOST_VALUES))):
            storage = view.storage
            first, length = runs.get(storage.key, (0, 0))
            needed = storage.count * np.dtype(DTYPES[storage.dtype]).itemsize
            if needed > length or first + length > size:
                raise _Refused("it is truncated: numbers are missing")
            run = ((first, needed),)
            by_name[name] = Stored(file, storage.dtype, view.shape, run, view.offset, view.strides)
        return by_name
    except _Refused as error:
        why = f"{error}; nothing of it was executed"
    except _SENSELESS as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        why = f"it is damaged or no file by torch ({reason}); nothing of it was executed"
    except OSError as error:
        why = error.strerror or str(error)
    except zipfile.BadZipFile as error:
        why = f"it is damaged or no file by torch: {error}"
    raise BadModel(path=file, why=why)


class _Stand:
    """A stand-in for a function of torch, without state that a pickle could set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: object) -> None:
        raise _Refused("it is a pickle that changes a function")


class Module:
    """A stand-in for an object of a TorchScript class: holds its attributes and does nothing."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: object = {}

    def __setstate__(self, state: object) -> None:
        self.attributes = state


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *_others: Any) -> TensorView:
    """Replaces torch._utils._rebuild_tensor_v2: the view, if it stays within its storage."""
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(n) is int for n in numbers):
        raise _Refused("it is a pickle with a tensor that is none")
    if not fits(offset, tuple(shape), tuple(strides), storage.count):
        raise _Refused("it is a pickle with a tensor that reaches outside its numbers")
    return TensorView(storage, offset, tuple(shape), tuple(strides))


class _Dtype:
    """Replaces numpy.dtype: the name of a type, as little-endian numbers have it."""

    __slots__ = ("name",)

    def __init__(self, name: Any, *_others: Any) -> None:
        if name not in _NUMPY_TYPES:
            raise _Refused("it is a pickle with an array of a type that weights do not have")
        self.name = _NUMPY_TYPES[name]

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", "|"):
            raise _Refused("its numbers are big-endian")


class _Array:
    """Replaces numpy.ndarray: a view of the bytes that the pickle holds for it."""

    __slots__ = ("view",)

    def __init__(self, *_empty: Any) -> None:
        self.view: TensorView | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes) or strange(shape):
            raise _Refused("it is a pickle with an array that is none")
        count = len(raw) // np.dtype(DTYPES[dtype.name]).itemsize
        sizes = shape if by_columns else shape[::-1]
        steps = [math.prod(sizes[:place]) for place in range(len(sizes))]
        storage = Storage(dtype.name, hashlib.sha256(raw).hexdigest(), count)
        self.view = _view(storage, 0, shape, steps if by_columns else steps[::-1])


def _size(numbers: Any = ()) -> tuple[int, ...]:
    """Replaces torch.Size."""
    if not all(type(n) is int for n in numbers):
        raise _Refused("it is a pickle with a shape that is none")
    return tuple(numbers)


def _first(value: Any, *_others: Any) -> Any:
    return value


_NUMPY_TYPES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u1": "U8", "b1": "BOOL",
}  # fmt: skip
_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Stand(_Dtype),
    ("numpy", "ndarray"): None,  # only named for _reconstruct
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Stand(_Array) for core in ("core", "_core")},
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): _Stand(_size),
    ("torch._utils", "_rebuild_tensor"): _Stand(_view),
    ("torch._utils", "_rebuild_tensor_v2"): _Stand(_view),
    ("torch._utils", "_rebuild_parameter"): _Stand(_first),
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    **{
        ("torch.jit._pickle", name): _Stand(_first)
        for name in (
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
            "restore_type_tag",
        )
    },
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that collects the storages that a pickle names."""

    def __init__(self, opened: io.BytesIO) -> None:
        super().__init__(opened, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return Module
        if (module, name) not in _KNOWN:
            raise _Refused(
                f"it is a pickle that asks for {module}.{name}, which no weights need"[:200]
            )
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", str(dtype), str(key), _, int(count), *view) if (
                dtype in DTYPES and count >= 0 and view in ([], [None])
            ):
                return self.storages.setdefault(key, Storage(dtype, key, count))
        raise _Refused("it is a pickle that asks for something other than a row of numbers")


def _load(opened: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The next pickle of a stream, and the storages it names.

    Its opcodes are checked first: a high memo index allocates memory for all lower ones, and a
    tuple of sixty levels, each holding the one below twice, takes years to hash.
    """
    start = opened.tell()
    scales = Scales()
    for count, (code, argument, _) in enumerate(pickletools.genops(opened)):
        if code.name in KEEPING and int(argument or 0) > count:
            raise _Refused("it is a pickle that asks for too much memory")
        scales.take(code, argument)
        if scales.steps > _MOST_STEPS:
            raise _Refused("it is a pickle of endless nesting")
    opened.seek(start)
    reader = _Unpickler(opened)
    return reader.load(), reader.storages


def _archive(file: Path) -> tuple[Any, Runs]:
    """The content of a zip archive, and the positions of its numbers."""
    with zipfile.ZipFile(file) as archive, file.open("rb") as opened:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise BadModel(path=file, why="it is a zip archive, but not one by torch")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and _read(archive, f"{root}byteorder") != b"little":
            raise BadModel(path=file, why="its numbers are big-endian")
        content, _ = _load(io.BytesIO(_read(archive, pickles[0])))
        runs: Runs = {}
        for info in archive.infolist():
            if info.filename.startswith(f"{root}data/"):
                runs[info.filename.removeprefix(f"{root}data/")] = _run(opened, info)
        return content, runs


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """A small file of an archive.

    Neither torch nor TorchScript compresses it, so it cannot expand to a large one.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > _LARGEST_PICKLE:
        raise _Refused(
            "it is an archive with a compressed pickle, or one of more than 64 MB, as torch writes "
            "none"
        )
    return archive.read(info)


def _run(opened: io.BufferedReader, info: zipfile.ZipInfo) -> tuple[int, int]:
    """First byte and length of a file in an archive, which torch never compresses."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise _Refused("it is an archive with compressed numbers, which torch does not write")
    opened.seek(info.header_offset)
    start = opened.read(30)
    if len(start) < 30 or start[:4] != ZIP_START:
        raise zipfile.BadZipFile("a local header is missing")
    name, extra = struct.unpack("<HH", start[26:30])
    return info.header_offset + 30 + name + extra, info.file_size


def _plain(file: Path) -> tuple[Any, Runs]:
    """The content of a single pickle, and the positions of its arrays' bytes by their SHA-256."""
    if file.stat().st_size > _LARGEST_PICKLE:
        raise _Refused("it is a pickle of more than 64 MB")
    raw = file.read_bytes()
    content, _ = _load(io.BytesIO(raw))
    runs: Runs = {}
    for code, argument, start in pickletools.genops(raw):
        if isinstance(argument, bytes) and code.name in _BYTES:
            run = int(start or 0) + _BYTES[code.name], len(argument)
            runs[hashlib.sha256(argument).hexdigest()] = run
    return content, runs


def _old(file: Path) -> tuple[Any, Runs]:
    """The content of a file by torch before 1.6, and the positions of its numbers.

    It holds pickles of a magic number, a version, the host, the content and the keys of the
    storages; then each storage, preceded by its count as an int64.
    """
    with file.open("rb") as opened:
        head = io.BytesIO(opened.read(_LARGEST_PICKLE))
        (magic, _), _, (host, _), (content, sizes), (keys, _) = (_load(head) for _ in range(5))
        if magic != OLD_MAGIC or not (isinstance(host, dict) and host.get("little_endian", True)):
            raise _Refused("it is no file by torch, or its numbers are big-endian")
        if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
            raise _Refused("it is no file by torch: it names no storages")
        runs: Runs = {}
        at = head.tell()
        for key in keys:
            opened.seek(at)
            count = struct.unpack("<q", opened.read(8))[0]
            if key not in sizes or count != sizes[key].count:
                raise _Refused("it is damaged: its numbers are not where they should be")
            length = count * np.dtype(DTYPES[sizes[key].dtype]).itemsize
            runs[key] = (at + 8, length)
            at += 8 + length
        return content, runs


def _flat(
    value: Any, name: str, depth: int, budget: Iterator[int]
) -> Iterator[tuple[str, TensorView]]:
    """The tensors in nested dictionaries and modules.

    Other values (numbers, flags) are ignored.
    """
    if next(budget, None) is None or depth > _DEEPEST:
        raise _Refused("it is a pickle of endless nesting")
    value = value.view if isinstance(value, _Array) else value
    if isinstance(value, TensorView):
        yield name, value
    inside = value.attributes if isinstance(value, Module) else value
    if isinstance(inside, dict):
        for key, part in inside.items():
            if isinstance(key, str) and isinstance(part, TensorView | _Array | Module | dict):
                yield from _flat(part, f"{name}.{key}" if name else key, depth + 1, budget)
