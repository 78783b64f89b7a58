"""These statistics read a population: rank correlations, distributions, effects and fronts, with bootstrap intervals.

Every interval is the percentile interval of 95 % over networks drawn again with replacement: it needs no formula for
the variance, and holds for perfect agreement, where the corrected ones (BCa) have none.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

Values = NDArray[np.float64]

RESAMPLES = 1000
MOST_RANKED = 4_000_000
"""So many numbers are ranked at most for one interval: of large populations fewer resamples say as much."""

ENDS = (0.025, 0.975)


class Estimate(NamedTuple):
    """A number has this 95 % interval."""

    value: float
    low: float
    high: float


def estimate(values: Sequence[Values], of: Callable[..., float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Bootstrap a statistic of columns that belong together, row by row: networks are drawn again with replacement.

    >>> estimate([np.arange(9.0)], lambda x: float(np.median(x)))
    Estimate(value=4.0, low=1.0, high=7.0)
    """
    drawn = np.random.default_rng(seed).integers(
        0, len(values[0]), (_resamples(len(values[0]), resamples), len(values[0]))
    )
    found = [of(*(one[row] for one in values)) for row in drawn]
    low, high = np.nanquantile(found, ENDS) if np.isfinite(found).any() else (np.nan, np.nan)
    return Estimate(of(*values), float(low), float(high))


def spearman(x: Values, y: Values) -> float:
    """Return the correlation of the ranks, ties sharing theirs; nan where one of the two does not vary."""
    return _pearson(rankdata(x), rankdata(y))


def kendall(x: Values, y: Values) -> float:
    """Return tau-b; nan where one of the two does not vary."""
    return float(kendalltau(x, y).statistic)


def _pearson(x: Values, y: Values) -> float:
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else float("nan")


def _resamples(count: int, most: int) -> int:
    return max(100, min(most, MOST_RANKED // max(count, 1)))


class Band(NamedTuple):
    """An empirical distribution function at some places, with the 95 % band of each."""

    at: list[float]
    share: list[float]
    """So large a share of the values is no larger than that."""
    low: list[float]
    high: list[float]


def edf(values: Values, places: int = 101, seed: int = 0) -> Band:
    """Return the empirical distribution function at quantiles of the values, ends included.

    >>> band = edf(np.array([1.0, 2.0, 3.0, 4.0]), 3)
    >>> band.at, band.share
    ([1.0, 2.5, 4.0], [0.25, 0.5, 1.0])
    """
    ordered = np.sort(values)
    at = np.unique(np.quantile(ordered, np.linspace(0, 1, places)))
    below = np.searchsorted(ordered, at, side="right") / len(ordered)
    # of a resample so many values lie between two places: their numbers are multinomial, and their sums never fall
    between = np.diff(below, prepend=0.0, append=1.0).clip(0)
    counts = np.random.default_rng(seed).multinomial(len(ordered), between / between.sum(), RESAMPLES)
    drawn = counts.cumsum(axis=1)[:, :-1] / len(ordered)
    low, high = np.quantile(drawn, ENDS, axis=0)
    return Band(at.tolist(), below.tolist(), low.tolist(), high.tolist())


def superiority(one: Values, other: Values) -> float:
    """Return the probability that a value of one is below a value of the other, ties counting half.

    >>> superiority(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    ordered = np.sort(other)
    above = len(ordered) - np.searchsorted(ordered, one, side="right")
    equal = len(ordered) - np.searchsorted(ordered, one, side="left") - above
    return float((above + equal / 2).sum() / (len(one) * len(ordered)))


def effect(one: Values, other: Values, seed: int = 0) -> Estimate:
    """Return ``superiority`` with its interval, each side drawn again by itself."""
    random = np.random.default_rng(seed)
    found = [
        superiority(random.choice(one, len(one)), random.choice(other, len(other)))
        for _ in range(_resamples(len(one) + len(other), RESAMPLES))
    ]
    low, high = np.quantile(found, ENDS)
    return Estimate(superiority(one, other), float(low), float(high))


def front(points: Values) -> list[int]:
    """Return the rows that no other row beats: is nowhere larger than, and somewhere smaller. Equal rows all stay.

    >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0], [3.0, 1.0]]))
    [0, 1, 3]
    """
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    for i in order:
        best = points[kept]
        if not np.any(np.all(best <= points[i], axis=1) & np.any(best < points[i], axis=1)):
            kept.append(int(i))
    return sorted(kept)


def hypervolume(points: Values, reference: Sequence[float]) -> float:
    """Return the volume that points cover below a reference, all to be small; what lies beyond it covers nothing.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0], [5.0, 0.0]]), (3.0, 3.0))
    3.0
    """
    bound = np.asarray(reference, float)
    inside = points[np.all(points < bound, axis=1)] if len(points) else points
    if not len(inside):
        return 0.0
    inside = inside[front(inside)]
    if inside.shape[1] == 1:
        return float(bound[0] - inside[:, 0].min())
    # slices along the last axis: each covers what all points below it cover of the others
    inside = inside[np.argsort(inside[:, -1])]
    ends = [*inside[1:, -1], bound[-1]]
    slices = (
        hypervolume(inside[: i + 1, :-1], bound[:-1].tolist()) * (end - inside[i, -1]) for i, end in enumerate(ends)
    )
    return float(sum(slices))
