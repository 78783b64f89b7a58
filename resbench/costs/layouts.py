"""What an operator made lies in a storage along the axes of the network's input; a view shows some of its positions.

A tensor's dimensions run along the input's axes (height, width), or along none, such as channels. A view is a look at a
storage: its sizes and strides tell which of the positions there it shows, whatever made it.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from torch import Tensor

from resbench.arch.windows import SELF, Span, Window
from resbench.arch.windows import plain as along


class Unclear(Exception):
    """Nobody knows which positions are seen."""


class Part(NamedTuple):
    """So many positions along this axis of the input, or along none, are a dimension, or an inner part of it."""

    size: int
    axis: int | None = None


Dimensions = tuple[tuple[Part, ...], ...]
"""Each dimension of a tensor is made of parts, the innermost last: (H W) of tokens has two."""


class Place(NamedTuple):
    """A part lies in a storage with this stride."""

    part: Part
    stride: int


class Layout(NamedTuple):
    """What an operator made has these dimensions, and lies so in its storage."""

    dimensions: Dimensions
    geometry: tuple[Any, ...]

    @classmethod
    def of(cls, tensor: Tensor, dimensions: Dimensions) -> "Layout":
        return cls(dimensions, geometry(tensor))

    @property
    def places(self) -> list[Place]:
        """The parts, the innermost first."""
        found = []
        for parts, stride in zip(self.dimensions, self.geometry[1], strict=True):
            for part in reversed(parts):
                found.append(Place(part, stride))
                stride *= part.size
        return sorted(found, key=lambda place: place.stride)


class Look(NamedTuple):
    """A tensor shows this of what an operator made: its dimensions, and where its positions are there."""

    dimensions: Dimensions
    window: Window = SELF

    @property
    def axes(self) -> set[int]:
        """Its positions move along these."""
        return {part.axis for parts in self.dimensions for part in parts if part.axis is not None}


def geometry(tensor: Tensor) -> tuple[Any, ...]:
    """Tell how a tensor lies in its storage."""
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset()


def plain(sizes: Iterable[int]) -> Dimensions:
    """Give dimensions that run along no axis of the input."""
    return tuple((Part(size),) for size in sizes)


def image(tensor: Tensor) -> Dimensions:
    """Give the dimensions of the network's input (N, C, H, W): an axis each, behind batch and channels."""
    return tuple((Part(size, i - 2 if i > 1 else None),) for i, size in enumerate(tensor.shape))


def look(layout: Layout | None, tensor: Tensor, axes: int) -> Look | None:
    """Tell what a tensor shows of what lies in its storage; None where that cannot be told."""
    if layout is None:
        return None
    if layout.geometry == geometry(tensor):
        return Look(layout.dimensions)
    places = [place for place in layout.places if place.part.size > 1]
    starts: dict[int, int] = {}
    rest = tensor.storage_offset() - layout.geometry[2]
    for part, stride in reversed(places):
        start, rest = divmod(rest, stride)
        if part.axis is not None:
            starts[part.axis] = start
        if not 0 <= start < part.size:
            return None
    dimensions, steps = [], dict[int, int]()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        found = _parts(size, stride, places, starts)
        if found is None or any(part.axis in steps for part, _ in found if part.axis is not None):
            return None
        steps |= {part.axis: step for part, step in found if part.axis is not None}
        dimensions.append(tuple(part for part, _ in found) or (Part(size),))
    window = along(Span(steps.get(axis, 0), starts.get(axis, 0), starts.get(axis, 0)) for axis in range(axes))
    return Look(tuple(dimensions), window)


def _parts(size: int, stride: int, places: Sequence[Place], starts: Mapping[int, int]) -> list[tuple[Part, int]] | None:
    """Find the parts along which a dimension of this size and stride runs, and the steps that it takes there."""
    if size == 1 or stride == 0:
        return []
    within = [i for i, place in enumerate(places) if stride % place.stride == 0 and stride >= place.stride]
    if not within:
        return None
    i = within[-1]
    found: list[tuple[Part, int]] = []
    step = stride // places[i].stride
    while True:
        part, own = places[i]
        if (size - 1) * step < part.size:
            return [(Part(size, part.axis), step), *found]
        if step > 1 or size % part.size or starts.get(part.axis, 0):  # type: ignore[arg-type]
            return None
        found.insert(0, (part, 1))
        size //= part.size
        i += 1
        if size == 1:
            return found
        if i == len(places) or places[i].stride != own * part.size:
            return None


def size_of(parts: Iterable[Part]) -> int:
    """So many elements are along a dimension."""
    return prod(part.size for part in parts)


def axes_of(parts: Iterable[Part]) -> list[int]:
    """Name the input's axes along which a dimension runs."""
    return [part.axis for part in parts if part.axis is not None]


def sides(dimensions: Iterable[Iterable[Part]]) -> dict[int, int]:
    """So many positions are along each axis. Raises Unclear where two dimensions run along one."""
    found: dict[int, int] = {}
    for part in (part for parts in dimensions for part in parts if part.axis is not None):
        if part.axis in found:
            raise Unclear
        found[part.axis] = part.size  # type: ignore[index]
    return found
