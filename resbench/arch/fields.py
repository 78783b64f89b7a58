"""The layers share which values they take, and where a sliding window fits."""

from __future__ import annotations

from typing import Any, NoReturn

from resbench.arch.algebra import Layer, Shape
from resbench.errors import ArchitectureError, ShapeError
from resbench.units import shape_text

Pair = tuple[int, int]

MAX_SIZE = 2**20
"""No width, side or depth of a real network comes near; beyond it, it is a slip of the keyboard."""


def refuse(layer: Layer, field: str, wanted: str, value: object) -> NoReturn:
    raise ArchitectureError(f"{type(layer).__name__}: {field} must be {wanted}, received {value!r}")


def whole(layer: Layer, least: int, *fields: str) -> None:
    """Each field is an integer from ``least`` to MAX_SIZE."""
    for field in fields:
        value: Any = getattr(layer, field)
        if type(value) is not int or not least <= value <= MAX_SIZE:
            refuse(layer, field, f"a whole number from {least} to {MAX_SIZE}", value)


def pairs(layer: Layer, least: int, *fields: str) -> None:
    """Each field becomes (height, width); a single number stands for both."""
    for field in fields:
        given: Any = getattr(layer, field)
        pair = (given, given) if type(given) is int else given
        if (
            type(pair) is not tuple
            or len(pair) != 2
            or any(type(v) is not int or not least <= v <= MAX_SIZE for v in pair)
        ):
            refuse(layer, field, f"one or two whole numbers from {least} to {MAX_SIZE}", given)
        object.__setattr__(layer, field, pair)


def number(layer: Layer, *fields: str) -> None:
    for field in fields:
        value: Any = getattr(layer, field)
        if type(value) not in (int, float) or not -1e9 < value < 1e9:
            refuse(layer, field, "a finite number", value)


def flag(layer: Layer, field: str) -> None:
    value = getattr(layer, field)
    if type(value) is not bool:
        refuse(layer, field, "True or False", value)


def expect_maps(layer: Layer, shape: Shape, channels: int | None = None) -> None:
    """The input is (N, C, H, W), with that many channels if the layer cares."""
    if len(shape) != 4:
        raise ShapeError(f"{layer.brief} expects CxHxW maps, received {shape_text(shape)}")
    if channels is not None and shape[1] != channels:
        raise ShapeError(f"{layer.brief} expects {channels} channels, received {shape_text(shape)}")


def windows(layer: Layer, shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool) -> Pair:
    """A sliding window has so many positions: floor((size + 2p - d(k - 1) - 1) / s) + 1, or ceil for pooling."""
    sides = []
    for size, k, s, p, d in zip(shape[2:], kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        side = -(-room // s) + 1 if ceil else room // s + 1
        if ceil and (side - 1) * s >= size + p:  # as torch: the last window must start inside
            side -= 1
        if side < 1:
            given = f"{shape_text(shape)}: its window spans {d * (k - 1) + 1}"
            raise ShapeError(f"{layer.brief} needs a larger input than {given}")
        sides.append(side)
    return sides[0], sides[1]
