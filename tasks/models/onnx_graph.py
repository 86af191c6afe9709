"""Writes a network as ONNX, from NumPy arrays: the few fields of its protobuf that inference needs.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPSET, _IR = 18, 9
_TYPES = {"float32": 1, "uint8": 2, "int64": 7}
_FLOAT, _INT, _INTS = 1, 2, 7  # kinds of attributes

Attribute = int | float | Sequence[int]


class OnnxGraph:
    """A graph that grows node by node; `serialized` is the model for ONNX Runtime."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._ends: list[bytes] = []

    def constant(self, array: NDArray[Any] | np.generic) -> str:
        """The name of a new constant: float32, uint8 or int64."""
        name = f"c{len(self._constants)}"
        # not ascontiguousarray, which gives a scalar one dimension
        values = np.asarray(array, order="C")
        dims = b"".join(_number(1, size) for size in values.shape)
        kind = _number(2, _TYPES[values.dtype.name])
        self._constants.append(dims + kind + _text(8, name) + _bytes(9, values.tobytes()))
        return name

    def integers(self, *values: int) -> str:
        """The name of a new constant: a row of int64."""
        return self.constant(np.array(values, np.int64))

    def node(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """The name of the output of a new node."""
        return self.split(kind, inputs, 1, **attributes)[0]

    def split(
        self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Attribute
    ) -> list[str]:
        """The names of the outputs of a new node that has several."""
        names = [f"n{len(self._nodes)}_{number}" for number in range(outputs)]
        ends = b"".join([*(_text(1, one) for one in inputs), *(_text(2, one) for one in names)])
        options = b"".join(_bytes(5, _attribute(*item)) for item in attributes.items())
        self._nodes.append(ends + _text(4, kind) + options)
        return names

    def gelu(self, values: str) -> str:
        """x * (1 + erf(x / sqrt(2))) / 2; opset 18 has no node for it."""
        root, one, half = (self.constant(np.float32(n)) for n in (math.sqrt(0.5), 1, 0.5))
        error = self.node("Erf", self.node("Mul", values, root))
        doubled = self.node("Mul", values, self.node("Add", error, one))
        return self.node("Mul", doubled, half)

    def input(self, name: str, dtype: str, shape: Sequence[int | None]) -> str:
        """Declare an input; returns its name. A size of None may be any."""
        self._ends.append(_bytes(11, _value(name, dtype, shape)))
        return name

    def output(self, of: str, name: str, shape: Sequence[int | None]) -> None:
        """Declare the float32 output `name`, which equals the value `of`; None: of any size."""
        self._nodes.append(_text(1, of) + _text(2, name) + _text(4, "Identity"))
        self._ends.append(_bytes(12, _value(name, "float32", shape)))

    def serialized(self) -> bytes:
        """The model: a ModelProto."""
        parts = [_bytes(1, node) for node in self._nodes]
        parts += [_text(2, self._name), *(_bytes(5, one) for one in self._constants), *self._ends]
        opset = _text(1, "") + _number(2, _OPSET)
        return _number(1, _IR) + _bytes(7, b"".join(parts)) + _bytes(8, opset)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        number = varint(2 << 3 | 5) + struct.pack("<f", value)
        return _text(1, name) + number + _number(20, _FLOAT)
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _INT)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, _INTS)


def _value(name: str, dtype: str, shape: Sequence[int | None]) -> bytes:
    dims = (b"" if size is None else _number(1, size) for size in shape)
    sizes = b"".join(_bytes(1, dim) for dim in dims)
    tensor = _number(1, _TYPES[dtype]) + _bytes(2, sizes)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """A number from 0 up, in groups of 7 bits, lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
