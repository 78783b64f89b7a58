"""A window says which positions of what is read a position of the result sees, along each axis of the maps.

    o sees [o s + low, o s + high]

A convolution of kernel k, stride s, padding p and dilation d has low = -p and high = d (k - 1) - p. What sees the whole
map, a global pooling or a flatten, sees [0, n - 1] wherever it stands: its stride is 0. Windows that follow each other
are one window, and so the receptive field of a layer is its window on the network's input (Araujo, Norris & Sim 2019,
https://distill.pub/2019/computing-receptive-fields).

>>> conv = sliding((3, 3), (2, 2), (1, 1))
>>> conv[0], behind(conv, conv)[0]
(Span(stride=2, low=-1, high=1), Span(stride=4, low=-3, high=3))
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple


class Span(NamedTuple):
    """Along one axis position o sees the positions from o stride + low to o stride + high."""

    stride: int = 1
    low: int = 0
    high: int = 0

    @property
    def size(self) -> int:
        """So many positions lie from the first to the last that is seen."""
        return self.high - self.low + 1

    @property
    def padding(self) -> int:
        """The first position sees so many in front of the map: zeros, where the map is padded with them."""
        return -self.low


Window = tuple[Span, ...]
"""A window has a span for each axis (height, width); without any a position sees itself."""

SELF: Window = ()

INPUT = -1
"""The network's input has this place among the rows."""


class Sight(NamedTuple):
    """A row sees the row at this place, or the network's input, through a window; None where nobody knows through
    which."""

    place: int
    window: Window | None = SELF
    gate: bool = False
    """It is a number of the whole map, by which each position is multiplied: a gate, or a sample's statistics."""

    def seen_through(self, window: Window | None, gate: bool = False) -> "Sight":
        """Give what is seen through a later window."""
        if window == SELF and not gate:
            return self
        return Sight(self.place, behind(window, self.window), gate or self.gate)


def plain(spans: Iterable[Span]) -> Window:
    """Give the window of these spans; the one without any where a position sees itself along each axis."""
    window = tuple(spans)
    return SELF if all(span == Span() for span in window) else window


def multiplied(sights: Iterable[Sight]) -> tuple[Sight, ...]:
    """Tell what a product sees: what multiplies all positions alike is a gate, beside what does not."""
    found = tuple(dict.fromkeys(sights))
    if all(fixed(sight.window) for sight in found):
        return found
    return tuple(sight._replace(gate=sight.gate or fixed(sight.window)) for sight in found)


def sliding(
    kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int] = (1, 1, 1)
) -> Window:
    """Give the window of a convolution or a pooling, of as many axes as the kernel has."""
    return _sliding(tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))


@cache
def _sliding(*numbers: tuple[int, ...]) -> Window:
    axes = zip(*numbers, strict=False)  # three dilations are there by default
    return plain(Span(s, -p, d * (k - 1) - p) for k, s, p, d in axes)


def whole(sides: Iterable[int]) -> Window:
    """Give the window of what sees a whole map of these sides."""
    return tuple(Span(0, 0, side - 1) for side in sides)


def adaptive(sides: Iterable[int], size: Iterable[int]) -> Window | None:
    """Give the window of an adaptive pooling to that size: n windows of equal sides, or the whole; else None, since
    its windows are of several sizes.

    >>> adaptive((14, 14), (7, 7)), adaptive((7, 9), (1, 1))
    ((Span(stride=2, low=0, high=1), Span(stride=2, low=0, high=1)), (Span(stride=0, low=0, high=6), Span(stride=0, \
low=0, high=8)))
    """
    spans = []
    for side, n in zip(sides, size, strict=True):
        if side % n:
            return None
        spans.append(Span(side // n if n > 1 or side == 1 else 0, 0, side // n - 1))
    return plain(spans)


def spread(sides: Iterable[int], over: Iterable[int]) -> Window:
    """Give the window of what is spread over a larger map, as a gate of one position is: all see that position."""
    sides, over = tuple(sides), tuple(over)
    if sides == over:
        return SELF
    return plain(Span(0 if side == 1 and wide > 1 else 1) for side, wide in zip(sides, over, strict=True))


def fixed(window: Window | None) -> bool:
    """Tell whether all positions see the same."""
    return bool(window) and not any(span.stride for span in window or ())


def behind(later: Window | None, earlier: Window | None) -> Window | None:
    """Give what is seen through one window of a map that itself sees through an earlier one."""
    if later is None or earlier is None:
        return None
    if not later or not earlier:
        return later or earlier
    return tuple(
        Span(a.stride * b.stride, a.low * b.stride + b.low, a.high * b.stride + b.high)
        for a, b in zip(later, earlier, strict=True)
    )
