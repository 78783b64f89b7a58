"""An ONNX file is read past its weights: what is left is a small protobuf message that says all else.

A message is a sequence of fields, each a number and a wire type, and then a value; a value of wire type 2 has its
length in front (https://protobuf.dev/programming-guides/encoding). So the contents of large tensors are stepped over,
and never read from the disk.
"""

from collections.abc import Iterator, Mapping

Bytes = bytes | memoryview

SMALL = 4096
"""A tensor of so many bytes keeps its contents: shapes, axes and numbers that decide."""

INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
"""Tensors lie in these fields of messages (onnx.proto)."""

CONTENTS = frozenset((4, 5, 6, 7, 9, 10, 11))
"""A tensor has its numbers in one of these fields."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class CutOff(ValueError):
    """A message ends before its last field does."""


def skimmed(data: Bytes, message: str = "model") -> bytes:
    """Give a message without the contents of its large tensors. Raises ValueError for what is no message."""
    inside = INSIDE.get(message, {})
    parts: list[Bytes] = []
    for field, start, value, end in _fields(data):
        if value is None or end - value <= SMALL:
            parts.append(data[start:end])
        elif field in inside:
            content = skimmed(data[value:end], inside[field])
            parts += [_varint(field << 3 | LENGTH), _varint(len(content)), content]
        elif message != "tensor" or field not in CONTENTS:
            parts.append(data[start:end])
    return b"".join(parts)


def _fields(data: Bytes) -> Iterator[tuple[int, int, int | None, int]]:
    """Yield each field's number, where it starts, where its content starts if it has a length, and where it ends."""
    at, size = 0, len(data)
    while at < size:
        start = at
        tag, at = _read(data, at)
        field, wire = tag >> 3, tag & 7
        value = None
        if wire == VARINT:
            _, at = _read(data, at)
        elif wire == LENGTH:
            length, value = _read(data, at)
            at = value + length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"a field of wire type {wire} at byte {start}")
        if at > size:
            raise CutOff(f"a field of {at - start:,} bytes begins where {size - start:,} are left")
        yield field, start, value, at


def _read(data: Bytes, at: int) -> tuple[int, int]:
    """Read a varint: seven bits a byte, the lowest first, and the eighth set where more follow."""
    number = shift = 0
    while shift < 70:
        if at >= len(data):
            raise CutOff("it ends inside a number")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    raise ValueError("a number of more than ten bytes")


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))
