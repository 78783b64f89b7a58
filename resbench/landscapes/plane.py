"""A plane is filled from coarse to fine, until all points are there or a spline stands for the others."""

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np

from resbench.landscapes import grid
from resbench.landscapes.grid import Place, coordinates, height, left_out, off, spline, strides
from resbench.landscapes.grid import Plane as Values
from resbench.landscapes.kept import Kept
from resbench.landscapes.losses import Direction, Losses, Value
from resbench.landscapes.result import Way
from resbench.progress import Step
from resbench.units import plural

FEWEST = 4
"""A spline through fewer steps of a side than that is judged by nobody."""


class Plane:
    """A plane is filled from coarse to fine."""

    def __init__(
        self,
        losses: Losses,
        pair: Sequence[Direction],
        way: Way,
        points: Kept[Value],
        told: Callable[[Step, float], None],
    ) -> None:
        self.losses, self.pair, self.way, self.kept, self.told = losses, pair, way, points, told
        self.axis = coordinates(way.span, way.points)
        self.known: dict[Place, Value] = {}
        self.off: list[float] = []
        self.stride, self.earlier = 0, 0

    def fill(self, seed: int) -> None:
        """Evaluate points, until there are enough of them."""
        for stride in strides(self.way.points):
            self._evaluate([*grid.every(self.way.points, stride)])
            self.stride = stride
            if stride > 1 and self.way.tolerance is not None and (self.way.points - 1) // stride >= FEWEST:
                judged = left_out(self.way.points, stride, seed)
                self._evaluate(judged)
                heights = {place: float(height(value.loss)) for place, value in self.known.items()}
                if all(map(isfinite, heights.values())):
                    self.off = off(spline(heights, self.way.points, stride), heights, judged)
                    if max(self.off) <= self.way.tolerance:
                        return
        self.off = []

    def _evaluate(self, places: Sequence[Place]) -> None:
        whole = self.way.points**2
        for i, j in places:
            if (i, j) in self.known:
                continue
            shares = self.axis[i], self.axis[j]
            if shares in self.kept.values:
                self.earlier += 1
                self.known[i, j] = self.kept.values[shares]
                continue
            done = len(self.known)
            self.told(Step(f"point {done + 1:,} of {whole:,}", plural(done, "point")), done / whole)
            value = self.losses.at((shares[0], self.pair[0]), (shares[1], self.pair[1]))
            self.kept.add(shares, value)
            self.known[i, j] = value

    def whole(self) -> tuple[Values, Values, Values]:
        """Return losses and errors at all points, and which of them were evaluated."""
        n = self.way.points
        exact = np.zeros((n, n), bool)
        loss, error = np.full((n, n), np.nan), np.full((n, n), np.nan)
        if self.stride > 1:
            heights = {place: float(height(value.loss)) for place, value in self.known.items()}
            loss = 10 ** spline(heights, n, self.stride)
            error = spline({place: value.error for place, value in self.known.items()}, n, self.stride).clip(0, 1)
        for (i, j), value in self.known.items():
            exact[j, i], loss[j, i], error[j, i] = True, value.loss, value.error
        return loss, error, exact
