"""Is the loss convex where a plane is? The least and the largest eigenvalue of the Hessian at its points say so, over
all weights and not in the plane alone: |least / largest| is near 0 where it is nearly convex (Li et al. 2018, fig. 7).
"""

from collections.abc import Callable, Sequence
from math import nan
from typing import NamedTuple

from resbench.landscapes.curvature import CONVERGED, Hessian, lanczos, signs
from resbench.landscapes.grid import every
from resbench.landscapes.kept import Kept
from resbench.landscapes.losses import Direction, Losses


class Extremes(NamedTuple):
    """The least and the largest eigenvalue at a point, each within its residual of one."""

    least: float
    least_residual: float
    largest: float
    largest_residual: float

    @property
    def ratio(self) -> float:
        """Return |least / largest|; NaN where it is not known, or both are 0."""
        return abs(self.least / self.largest) if self.largest else nan

    @property
    def converged(self) -> bool:
        """Tell whether both are known to a small share of the larger one."""
        scale = CONVERGED * max(abs(self.least), abs(self.largest))
        return max(self.least_residual, self.largest_residual) <= scale


UNKNOWN = Extremes(nan, nan, nan, nan)

Bends = tuple[tuple[Extremes, ...], ...]
"""A plane has a row for each share of the second direction."""


def fill(
    kept: Kept[Extremes],
    losses: Losses,
    pair: Sequence[Direction],
    axis: Sequence[float],
    steps: int,
    seed: int,
    told: Callable[[int], None],
) -> None:
    """Find the extremes at all points of a grid that are not kept; ``told`` hears how many came before each."""
    for number, (i, j) in enumerate(every(len(axis), 1)):
        if (shares := (axis[i], axis[j])) not in kept.values:
            told(number)
            kept.add(shares, extremes(losses, [*zip(shares, pair, strict=True)], steps, seed))


def extremes(losses: Losses, terms: Sequence[tuple[float, Direction]], steps: int, seed: int) -> Extremes:
    """Find the extremes at the centre plus so much of each direction, by Lanczos from the curvature's first probe."""
    with losses.differentiable(*terms):
        hessian = Hessian(losses)
        found = lanczos(hessian, signs(hessian.size, seed, 0, losses.params[0].device), steps)
    values, residuals = found.values.tolist(), found.residuals.tolist()
    return Extremes(values[0], residuals[0], values[-1], residuals[-1])


def rows(kept: Kept[Extremes], axis: Sequence[float]) -> Bends:
    """Return a row for each share of the second direction; what was not reached is unknown."""
    return tuple(tuple(kept.values.get((a, b), UNKNOWN) for a in axis) for b in axis)
