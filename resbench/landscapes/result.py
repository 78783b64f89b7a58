"""A landscape is the loss of trained networks over a plane through their weights, each plane with what it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, log
from typing import ClassVar, NamedTuple

import numpy as np

from resbench.drawing.charts import Picture
from resbench.landscapes.between import Between
from resbench.landscapes.convexity import Bends, Extremes
from resbench.landscapes.curvature import Curvature
from resbench.landscapes.grid import Plane, convex_share, coordinates, low_share
from resbench.landscapes.table import hessian_table, lines_table, means_table, points_table, surfaces_table
from resbench.result import Figure, Metric, Result, Section
from resbench.tables.table import Table
from resbench.units import plural, shape_text
from resbench.workers.environment import Environment
from resbench.workers.medians import mean_and_half

Rows = tuple[tuple[float, ...], ...]


class Way(NamedTuple):
    """The planes are looked at so, all of them."""

    span: float
    points: int
    directions: str
    biases: str
    bn: str
    batch: int
    """Statistics of a batch are of so many images."""
    tolerance: float | None
    data: str
    images: int
    classes: int
    size: str = ""
    """The images have this size, where it is the same for all networks."""
    curvature: int = 0
    """So many steps of Lanczos were taken at the centre, from each probe."""
    convexity: int = 0
    """At so many points of a side the least and the largest eigenvalue were found; 0: at none."""
    lanczos: int = 0
    """They are of so many steps of Lanczos."""

    @property
    def guessing(self) -> float:
        """A network that gives all classes the same chance has this cross entropy."""
        return log(self.classes) if self.classes > 1 else float("nan")

    @property
    def line(self) -> str:
        """Say it in a sentence or two."""
        batches = f"batches of {'' if self.images % max(self.batch, 1) == 0 else 'up to '}{self.batch}"
        statistics = {
            "none": "No BN",
            "eval": "BN divides by the centre's running statistics everywhere",
            "train": f"BN divides by the statistics of its batch, {batches}",
            "recompute": f"BN's running statistics are taken anew at every point, over {batches}",
        }
        long = {
            "filter": "random, each filter as long as the network's own (Li et al. 2018, eq. 1)",
            "layer": "random, each tensor as long as the network's own",
            "none": "random, of variance 1",
            "top": "the two top eigenvectors of the Hessian, each as long as all weights",
            "trajectory": "the two principal components of the weights from epoch to epoch, both 1.25 times as long as "
            "the training is wide",
        }
        others = "biases and BN stay" if self.biases == "zero" else "biases and BN move by their own length"
        others = "" if self.directions in ("top", "trajectory") else f", {others}"
        size = f" at {self.size}" if self.size else ""
        return (
            f"Loss over {plural(self.images, 'image')} of {self.data}{size}, {self.points} x {self.points} points from "
            f"-{self.span:g} to {self.span:g}; directions: {long[self.directions]}{others}. {statistics[self.bn]}."
        )


@dataclass(frozen=True)
class Surface:
    """A surface is the plane of one network: a row for each share of the second direction, from -span on."""

    model: str
    seed: int
    """Weights and directions are those of this seed."""
    input: tuple[int, ...]
    loss: Rows
    error: Rows
    exact: tuple[tuple[bool, ...], ...]
    """The others are interpolated."""
    seconds: float
    earlier: int = 0
    """So many points were evaluated by an earlier call."""
    off: tuple[float, ...] = ()
    """The spline was off by so much where it was judged, in shares of the range of the logarithm of the loss."""
    test_error: float | None = None
    """This is of the training's last epoch."""
    curvature: Curvature | None = None
    interrupted: bool = False
    path: tuple[tuple[float, float], ...] = ()
    """The training went this way, from its first weights to the last: shares of both directions."""
    explained: tuple[float, float] | None = None
    """So large a share of the variance of its weights lies along each direction."""
    bends: Bends = ()
    """These are the least and the largest eigenvalue of the Hessian at points of the plane, a coarser grid."""

    @cached_property
    def plane(self) -> Plane:
        """Return the losses as an array."""
        return np.array(self.loss, float)

    @property
    def centre(self) -> tuple[float, float]:
        """Return loss and error at the weights themselves."""
        middle = len(self.loss) // 2
        return self.loss[middle][middle], self.error[middle][middle]

    @property
    def highest(self) -> float:
        """Return the largest loss; it is not finite where any is not."""
        return float(self.plane.max())

    @property
    def evaluated(self) -> int:
        return sum(map(sum, self.exact))

    @property
    def convex(self) -> float:
        """Return the share of inner points at which the plane curves upwards in all directions."""
        return convex_share(self.plane)

    @property
    def found_bends(self) -> list[Extremes]:
        """Return the extremes of the points that were reached and are finite."""
        return [one for row in self.bends for one in row if isfinite(one.least)]

    @property
    def unsure(self) -> int:
        """Return at how many of these they are not converged."""
        return sum(not one.converged for one in self.found_bends)

    @property
    def ratios(self) -> Plane:
        """Return |least / largest| eigenvalue over the coarser grid."""
        return np.array([[one.ratio for one in row] for row in self.bends])

    @property
    def ratio(self) -> float | None:
        """Return it at the weights themselves; None where it is not known."""
        middle = len(self.bends) // 2
        found = self.bends[middle][middle].ratio
        return found if isfinite(found) else None

    @property
    def highest_ratio(self) -> float | None:
        """Return the largest that is known; None where none is."""
        known = self.ratios[np.isfinite(self.ratios)]
        return float(known.max()) if len(known) else None

    def low(self, below: float) -> float:
        """Return the share of points whose loss is below a limit."""
        return low_share(self.plane, below)


@dataclass(frozen=True, repr=False)
class Landscapes(Result):
    """Planes of networks stand side by side: the same images, in the same order, and one scale of colours."""

    surfaces: tuple[Surface, ...]
    way: Way
    environment: Environment
    trained: str = ""
    """The networks were trained so."""
    lines: tuple[Between, ...] = ()
    """These lie between the trainings of one seed and the next."""

    kind: ClassVar = "landscape"
    metrics: ClassVar = {"basin": Metric("basin_share", "better than guessing", "share", 1)}
    members: ClassVar = "surfaces"
    heading: ClassVar = ("landscape", "Landscape", "The loss around the weights that training found.")
    undrawn: ClassVar = "no plane was finished"

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it before all points were there."""
        return any(one.interrupted for one in self.surfaces)

    @property
    def axis(self) -> list[float]:
        """Return the shares of a direction at which there are points."""
        return coordinates(self.way.span, self.way.points)

    def tables(self) -> list[Table]:
        several = len({one.seed for one in self.surfaces}) > 1
        asked = any(one.curvature or one.bends for one in self.surfaces)
        return [
            surfaces_table(self),
            *([means_table(self)] if several else []),
            *([hessian_table(self)] if asked else []),
            *([lines_table(self)] if self.lines else []),
        ]

    def flat(self) -> Table:
        return points_table(self)

    def pictures(self) -> list[Picture]:
        from resbench.landscapes.chart import contours, lines
        from resbench.landscapes.hessian_chart import densities, ratios
        from resbench.landscapes.sides import surfaces

        found = [contours(self), surfaces(self)]
        if any(one.bends for one in self.surfaces):
            found.append(ratios(self))
        found += densities(self)
        return [*found, *([lines(self)] if self.lines else [])]

    def sketch(self, width: int, colour: bool) -> str:
        from resbench.landscapes.sketch import sketch

        return sketch(self, width)

    def figures(self) -> Iterator[Figure]:
        for name in self.models() if isfinite(self.way.guessing) else ():
            own = [one for one in self.surfaces if one.model == name]
            same = [one.low(self.way.guessing) for one in own]
            place = self.way._replace(size=shape_text(own[0].input)).line
            seeds = plural(len(same), "seed")
            yield Figure(name, "basin", *mean_and_half(same), f"{place} {seeds}. {self.environment.note}")

    def verdicts(self) -> Iterator[str]:
        for one in self.surfaces:
            yield f"{self.label(one)}: {self.said(one)}"
        for line in self.lines:
            told = f"between seeds {line.seeds[0]} and {line.seeds[1]} the loss rises by {line.barrier:.3g}"
            units = "" if line.matched_barrier is None else f", by {line.matched_barrier:.3g} with units matched"
            yield f"{line.model}: {told} above the line between both ends{units}"

    def label(self, one: Surface) -> str:
        """Name a surface: its network, and its seed where there are several."""
        several = len({other.seed for other in self.surfaces}) > 1
        return f"{one.model}, seed {one.seed}" if several else one.model

    def said(self, one: Surface) -> str:
        """Say in words what a plane shows."""
        wild = int((~np.isfinite(one.plane)).sum())
        words = f"the loss rises from {one.centre[0]:.3g} to {one.highest:.3g}"
        if wild:
            words = f"from {one.centre[0]:.3g} at the centre; it is not finite at {plural(wild, 'point')}"
        guess = self.way.guessing
        low = "" if not isfinite(guess) else f"; below {guess:.3g}, which is guessing, at {100 * one.low(guess):.0f} %"
        words = f"{words}{low} of the points; convex at {100 * one.convex:.0f} %"
        if not one.bends or one.highest_ratio is None:
            return words
        here = "" if one.ratio is None else f"{one.ratio:.2g} at the centre and "
        unsure = f", not converged at {one.unsure:,} of {len(one.found_bends):,} points" if one.unsure else ""
        return f"{words}; |least / largest| eigenvalue of the Hessian {here}{one.highest_ratio:.2g} at most{unsure}"

    def sections(self) -> list[Section]:
        return [Section(*self.heading, [*self.verdicts()], self.tables(), self.pictures())]
