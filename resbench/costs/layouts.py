"""What an operator made lies in a storage along the axes of the network's input; a view shows some of its positions.

A view is a look at a storage: its sizes and strides tell which of the positions there it shows, whatever made it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from resbench.arch.dimensions import Dimensions, Part
from resbench.arch.windows import SELF, Span, Window
from resbench.arch.windows import plain as along


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
