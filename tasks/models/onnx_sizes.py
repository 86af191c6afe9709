"""Lets an ONNX file that was published for pictures of one size take pictures of any size.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

from curate.tasks.models.onnx_graph import varint

_GRAPH = 7  # of a model
# of a graph: its inputs, outputs, and what shapes lie between them
_INPUT, _OUTPUT, _BETWEEN = 11, 12, 13
_NAME, _TYPE = 1, 2  # of a value
_TENSOR, _SHAPE = 1, 2  # of a type, and of its tensor
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # how a field is stored


def any_size(model: bytes, name: str) -> bytes:
    """The same network with one input, `name`, and no sizes declared of it and of the outputs.

    Other inputs are those that have values of their own, such as weights, which may then be folded
    into each other. Raises ValueError if it is no ONNX model.
    """
    fields = [
        (key, _open_graph(value, name) if key >> 3 == _GRAPH else value)
        for key, value in _fields(model)
    ]
    return _joined(fields)


def _open_graph(graph: bytes, name: str) -> bytes:
    kept = []
    for key, value in _fields(graph):
        number = key >> 3
        if number == _BETWEEN:
            continue
        if number in (_INPUT, _OUTPUT):
            if number == _INPUT and (_NAME << 3 | _BYTES, name.encode()) not in _fields(value):
                continue
            value = _without_sizes(value)
        kept.append((key, value))
    return _joined(kept)


def _without_sizes(value: bytes) -> bytes:
    """A ValueInfoProto whose tensor has a type of number, and no shape."""
    fields = []
    for key, content in _fields(value):
        if key >> 3 == _TYPE:
            tensors = [
                (k, _joined([f for f in _fields(t) if f[0] >> 3 != _SHAPE]))
                for k, t in _fields(content)
                if k >> 3 == _TENSOR
            ]
            content = _joined(tensors)
        fields.append((key, content))
    return _joined(fields)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message: number and kind as stored, and the content."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        kind = key & 7
        start = at
        if kind == _BYTES:
            length, start = _number(message, at)
            at = start + length
        elif kind == _VARINT:
            at = _number(message, at)[1]
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise ValueError("a field of an unknown kind")
        if at > len(message):
            raise ValueError("a field longer than its message")
        yield key, message[start:at]


def _joined(fields: list[tuple[int, bytes]]) -> bytes:
    parts = []
    for key, content in fields:
        parts.append(varint(key))
        if key & 7 == _BYTES:
            parts.append(varint(len(content)))
        parts.append(content)
    return b"".join(parts)


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A number stored in groups of 7 bits, and where it ends."""
    number = shift = 0
    while at < len(message) and shift < 64:
        number |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return number, at
    raise ValueError("a number without an end")
