"""The layers share which values they take, and where a sliding window fits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, get_type_hints

from resbench.errors import ArchitectureError, ShapeError
from resbench.units import shape_text

if TYPE_CHECKING:
    from resbench.arch.algebra import Layer, Shape

Pair = tuple[int, int]

MAX_SIZE = 2**20
"""No width, side or depth of a real network comes near; beyond it, it is a slip of the keyboard."""


class Wanted(NamedTuple):
    """A field takes these values; a field's type says so with ``Annotated``."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(least: int, value: object) -> bool:
    return type(value) is int and least <= value <= MAX_SIZE


def _is_sides(least: int, value: object) -> bool:
    pair = value if type(value) is tuple else (value, value)
    return len(pair) == 2 and all(_is_whole(least, side) for side in pair)


def _sides(least: int) -> Wanted:
    return Wanted(f"one or two whole numbers from {least} to {MAX_SIZE}", partial(_is_sides, least))


Whole = Annotated[int, Wanted(f"a whole number from 1 to {MAX_SIZE}", partial(_is_whole, 1))]
Sides = Annotated[int | Pair, _sides(1)]
Padding = Annotated[int | Pair, _sides(0)]
Number = Annotated[float, Wanted("a finite number", lambda value: type(value) in (int, float) and -1e9 < value < 1e9)]
Flag = Annotated[bool, Wanted("True or False", lambda value: type(value) is bool)]


_types = cache(partial(get_type_hints, include_extras=True))
"""The fields and constants of a class have these types, by name."""


def check_fields(layer: Layer) -> None:
    """Each field holds a value of its type; a single number of ``Sides`` or ``Padding`` becomes (height, width)."""
    for field, kind in _types(type(layer)).items():  # type: ignore[arg-type]
        value = getattr(layer, field)
        for wanted in getattr(kind, "__metadata__", ()):
            if not wanted.holds(value):
                refuse(layer, field, wanted.words, value)
        if kind in (Sides, Padding) and type(value) is int:
            object.__setattr__(layer, field, (value, value))


def refuse(layer: Layer, field: str, wanted: str, value: object) -> NoReturn:
    raise ArchitectureError(f"{type(layer).__name__}: {field} must be {wanted}, received {value!r}")


def expect_maps(layer: Layer, shape: Shape, channels: int | None = None) -> Shape:
    """The input is (N, C, H, W), with that many channels if the layer cares. Raises ShapeError."""
    if len(shape) != 4:
        raise ShapeError(f"{layer.brief} expects CxHxW maps, received {shape_text(shape)}")
    if channels is not None and shape[1] != channels:
        raise ShapeError(f"{layer.brief} expects {channels} channels, received {shape_text(shape)}")
    return shape


def windows(
    layer: Layer,
    shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    *,
    ceil: bool = False,
) -> Pair:
    """A sliding window has so many positions: floor((size + 2p - d(k - 1) - 1) / s) + 1, or ceil for pooling."""
    sides = []
    for size, k, s, p, d in zip(shape[2:], kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        side = -(-room // s) + 1 if ceil else room // s + 1
        if ceil and (side - 1) * s >= size + p:  # as torch: the last window must start inside
            side -= 1
        if side < 1:
            raise ShapeError(
                f"{layer.brief} needs a larger input than {shape_text(shape)}: its window spans {d * (k - 1) + 1}"
            )
        sides.append(side)
    return sides[0], sides[1]
