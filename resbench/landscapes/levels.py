"""Lines of equal loss over a plane: at round numbers, the same for all networks of a chart.

>>> levels(0.02, 40.0)
[0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
>>> levels(1.81, 2.3)
[1.85, 1.9, 1.95, 2.0, 2.05, 2.1, 2.15, 2.2, 2.25]
"""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any, NamedTuple

import numpy as np

from resbench.landscapes.grid import LEAST, Plane, height

MOST = 14
"""There are so many levels at most."""

STEPS = (1.0, 2.0, 5.0)
"""Round numbers are these, times a power of ten."""


class Line(NamedTuple):
    """A line of one loss: ``points`` are shares of both directions, along it."""

    loss: float
    points: tuple[tuple[float, float], ...]


def levels(low: float, high: float) -> list[float]:
    """Return round losses between two: 1, 2, 5, 10, ... where they span a decade or more, else equal steps."""
    low = max(low, LEAST)
    if not low < high:
        return []
    if high >= 10 * low:
        decades = range(floor(log10(low)), ceil(log10(high)) + 1)
        for steps, every in ((STEPS, 1), ((1.0,), 1), ((1.0,), 2), ((1.0,), 4)):
            found = [_round(step, power) for power in decades if power % every == 0 for step in steps]
            found = [loss for loss in found if low < loss < high]
            if len(found) <= MOST:
                break
        return found
    exponent = floor(log10((high - low) / MOST))
    chosen = [(step, power) for power in (exponent, exponent + 1) for step in STEPS]
    step, power = next((step, power) for step, power in chosen if (high - low) / _round(step, power) <= MOST)
    first, last = ceil(low / _round(step, power)), floor(high / _round(step, power))
    return [loss for i in range(first, last + 1) if low < (loss := _round(i * step, power)) < high]


def _round(number: float, power: int) -> float:
    """Return the number nearest to a product with a power of ten."""
    return float(f"{number}e{power}")


def lines(axis: Sequence[float], plane: Plane, at: Sequence[float]) -> list[Line]:
    """Find the lines of these losses: through log10 of the loss, linear between neighbours, by marching squares.

    None runs through a cell that has a corner that is not finite.
    """
    from contourpy import contour_generator

    with np.errstate(invalid="ignore"):
        heights = np.ma.masked_invalid(height(plane))
    found: Any = contour_generator(axis, axis, heights, corner_mask=False)
    return [
        Line(loss, tuple(map(tuple, points.round(5).tolist()))) for loss in at for points in found.lines(log10(loss))
    ]
