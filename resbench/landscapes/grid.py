"""A plane is seen at a grid of points: from coarse to fine, and between them by a spline where that is enough.

>>> coordinates(1.0, 5)
[-1.0, -0.5, 0.0, 0.5, 1.0]
>>> strides(25)
[12, 6, 3, 1]
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
"""A point of the grid: which of the first direction's shares, and which of the second's."""

Plane = NDArray[np.float64]
"""Values of a plane: a row for each share of the second direction, a column for each of the first."""

LEFT_OUT = 40
"""So many points that the spline has not seen say how far it is off."""

LEAST = 1e-12
"""The logarithm of a loss is that of at least so much."""


def coordinates(span: float, points: int) -> list[float]:
    """Return shares from -span to span: of more points, those of fewer are the same numbers wherever they meet."""
    return [span * ((2 * i - (points - 1)) / (points - 1)) for i in range(points)]


def strides(points: int) -> list[int]:
    """Return from coarse to fine which points come first: every so manyth, each grid with all points of that before."""
    left, found = points - 1, [1]
    for prime in (3, 2, *range(5, points, 2)):
        while left % prime == 0:
            left //= prime
            found.append(found[-1] * prime)
    return [stride for stride in reversed(found) if (points - 1) // stride >= 2]


def every(points: int, stride: int) -> Iterator[Place]:
    """Yield the points of a grid, row by row."""
    for j in range(0, points, stride):
        for i in range(0, points, stride):
            yield i, j


def left_out(points: int, stride: int, seed: int) -> list[Place]:
    """Draw points at random that are not of a grid: what a spline through the grid says of them can be judged."""
    off = [(i, j) for i, j in every(points, 1) if i % stride or j % stride]
    return Random(f"{seed}/{points}/{stride}").sample(off, min(LEFT_OUT, len(off)))


def height(loss: float | Plane) -> Plane:
    """Return log10 of a loss, of which splines and colours are."""
    return np.log10(np.maximum(loss, LEAST))


def spline(known: Mapping[Place, float], points: int, stride: int) -> Plane:
    """Put a bicubic spline through a grid of values, and return it at all points.

    Of fewer than four points a side it is linear or quadratic; where a value is not finite each point has its nearest.
    """
    from scipy.interpolate import RectBivariateSpline

    places = range(0, points, stride)
    degree = min(3, len(places) - 1)
    values = np.array([[known[i, j] for i in places] for j in places])
    if not np.isfinite(values).all():
        nearest = [round(i / stride) for i in range(points)]
        return values[np.ix_(nearest, nearest)]
    found = RectBivariateSpline(places, places, values, kx=degree, ky=degree, s=0)(range(points), range(points))
    return np.asarray(found)


def convex_share(loss: Plane) -> float:
    """Return the share of inner points at which the plane curves upwards in all its directions.

    Its second differences are a matrix of two rows there, whose eigenvalues are not negative; a neighbour that is not
    finite counts against it.
    """
    if min(loss.shape) < 3:
        return float("nan")
    with np.errstate(invalid="ignore"):
        c = loss[1:-1, 1:-1]
        across = loss[1:-1, 2:] - 2 * c + loss[1:-1, :-2]
        down = loss[2:, 1:-1] - 2 * c + loss[:-2, 1:-1]
        mixed = (loss[2:, 2:] - loss[2:, :-2] - loss[:-2, 2:] + loss[:-2, :-2]) / 4
        return float(((across + down >= 0) & (across * down - mixed**2 >= 0)).mean())


def low_share(loss: Plane, below: float) -> float:
    """Return the share of points whose loss is below a limit."""
    return float((loss < below).mean())


def off(spline_: Plane, exact: Mapping[Place, float], places: Sequence[Place]) -> list[float]:
    """Return how far a spline is from what was evaluated, in shares of the range of all that was."""
    values = [*exact.values()]
    across = max(values) - min(values)
    return [abs(float(spline_[j, i]) - exact[i, j]) / across if across else 0.0 for i, j in places]
