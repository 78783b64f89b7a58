"""A tensor's dimensions run along the axes of the network's input (height, width), or along none, such as channels.

Each kind of operator has a rule that tells of the dimensions that it reads along which axes its result runs, and of
which positions there each of its own sees: spans along some axes; along the others a position sees itself. The rules
know sizes alone, so a traced module and a graph have the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from resbench.arch.windows import Span, Window


class Unclear(Exception):
    """Nobody knows which positions are seen."""


class Part(NamedTuple):
    """So many positions along this axis of the input, or along none, are a dimension, or an inner part of it."""

    size: int
    axis: int | None = None


Dimensions = tuple[tuple[Part, ...], ...]
"""Each dimension of a tensor is made of parts, the innermost last: (H W) of tokens has two."""

Spans = Mapping[int, Span]
"""Along these axes a position sees so much; along others itself."""

Seen = tuple[Dimensions, Spans]
"""A result has these dimensions, and sees what it read so."""


def plain(sizes: Iterable[int]) -> Dimensions:
    """Give dimensions that run along no axis of the input."""
    return tuple((Part(size),) for size in sizes)


def image(sizes: Iterable[int]) -> Dimensions:
    """Give the dimensions of the network's input (N, C, H, W): an axis each, behind batch and channels."""
    return tuple((Part(size, i - 2 if i > 1 else None),) for i, size in enumerate(sizes))


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


def everywhere(dimensions: Iterable[Iterable[Part]]) -> dict[int, Span]:
    """See all positions along these dimensions."""
    return {axis: Span(0, 0, size - 1) for axis, size in sides(dimensions).items()}


def pointwise(output: Sequence[int], operands: Sequence[Dimensions]) -> tuple[Dimensions, list[Spans]]:
    """Go element by element; what has one position along an axis is spread over the others."""
    dimensions = list(plain(output))
    for operand in operands:
        for i, parts in enumerate(reversed(operand), 1):
            if i <= len(dimensions) and size_of(parts) == output[-i] and axes_of(parts):
                if axes_of(dimensions[-i]) and dimensions[-i] != parts:
                    raise Unclear
                dimensions[-i] = parts
    wide = sides(dimensions)
    return tuple(dimensions), [_spread(sides(operand), wide) for operand in operands]


def _spread(own: Mapping[int, int], wide: Mapping[int, int]) -> Spans:
    return {axis: Span(0) for axis, size in wide.items() if size > 1 and own.get(axis, 1) == 1}


def slid(x: Dimensions, output: Sequence[int], window: Window) -> Seen:
    """Slide a window along the last dimensions, and keep what is in front of them, but for summed channels."""
    first = len(x) - len(window)
    dimensions, spans = list(plain(output)), dict[int, Span]()
    for i, parts in enumerate(x):
        if not (axes := axes_of(parts)):
            continue
        if i < first and output[i] == size_of(parts) and i != first - 1:
            dimensions[i] = parts
        elif i < first or len(parts) > 1:
            raise Unclear
        else:
            dimensions[i] = (Part(output[i], axes[0]),)
            spans[axes[0]] = window[i - first]
    return tuple(dimensions), spans


def reduced(x: Dimensions, over: Iterable[int], *, kept: bool) -> Seen:
    """Sum over dimensions, which are kept with one position or go."""
    gone = {i % len(x) for i in over}
    dimensions = [(Part(1),) if i in gone else parts for i, parts in enumerate(x) if kept or i not in gone]
    return tuple(dimensions), everywhere(x[i] for i in gone)


def product(left: Dimensions, right: Dimensions) -> tuple[Dimensions, list[Spans]]:
    """Multiply (..., n, k) x (..., k, m), and see all along k."""
    batch = [x if axes_of(x) else y for x, y in zip(left[:-2], right[:-2], strict=True)]
    if any(axes_of(parts) for parts in left[-2:]) and any(axes_of(parts) for parts in right[-2:]):
        raise Unclear  # positions are weighed by positions
    return (*batch, left[-2], right[-1]), [everywhere([summed]) for summed in (left[-1], right[-2])]


def concatenated(operands: Sequence[Dimensions], dim: int, size: int) -> Dimensions:
    """Put all side by side along a dimension without positions."""
    if any(axes_of(one[dim]) for one in operands):
        raise Unclear
    dimensions = [*agreed(operands)]
    dimensions[dim] = (Part(size),)
    return tuple(dimensions)


def agreed(operands: Sequence[Dimensions]) -> Dimensions:
    """Give the dimensions of tensors that run along the same axes, but for those in which they run along none."""
    dimensions = []
    for parts in zip(*operands, strict=True):
        moving = {one for one in parts if axes_of(one)}
        if len(moving) > 1:
            raise Unclear
        dimensions.append(moving.pop() if moving else parts[0])
    return tuple(dimensions)


def padded(x: Dimensions, pads: Mapping[int, tuple[int, int]]) -> Seen:
    """Put so many positions in front of a dimension and behind it: each sees one that lies so many before it."""
    dimensions, spans = list(x), dict[int, Span]()
    for i, (before, after) in pads.items():
        axes = axes_of(x[i])
        if axes and len(x[i]) > 1 and (before or after):
            raise Unclear
        if before or after:
            dimensions[i] = (Part(size_of(x[i]) + before + after, *axes),)
            spans |= {axis: Span(1, -before, -before) for axis in axes}
    return tuple(dimensions), spans


def reshaped(x: Dimensions, sizes: Iterable[int]) -> Dimensions:
    """Regroup the elements in their order: parts are joined, and those along no axis are split.

    >>> maps = image((1, 6, 4, 5))
    >>> reshaped(reshaped(maps, (1, 2, 3, 4, 5)), (1, 6, 20))[2]
    (Part(size=4, axis=0), Part(size=5, axis=1))
    """
    left = [part for parts in reversed(x) for part in reversed(parts) if part.size > 1]
    dimensions = []
    for size in sizes:
        parts: list[Part] = []
        while (missing := size // size_of(parts)) > 1:
            part = left.pop() if left else Part(0)
            if part.axis is None and part.size and part.size % missing == 0:
                left += [Part(part.size // missing)] if part.size > missing else []
                part = Part(missing)
            if not part.size or missing % part.size:
                raise Unclear
            parts.append(part)
        dimensions.append(tuple(parts) or (Part(size),))
    return tuple(dimensions)
