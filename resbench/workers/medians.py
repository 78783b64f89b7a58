"""This module takes medians and means with their uncertainty.

Samples of one process are neither independent (a disturbance lasts for several) nor representative (another process
gets other memory and other cores): its own interval is too narrow by far. So the unit that is repeated is the
process, as in Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time" (2013); inside one, the unit is a block of
consecutive samples.
"""

from collections.abc import Sequence
from math import isfinite, sqrt
from statistics import fmean, median, quantiles, stdev

BLOCKS = 8
"""Consecutive samples form so few blocks that each is longer than most disturbances."""


def half_width(groups: Sequence[Sequence[float]]) -> float:
    """Return half of the 95 % interval of the median: Student's t over the medians of two groups or more.

    >>> round(half_width([[9, 10, 11], [11, 12, 13]]), 3)
    12.706
    """
    return student([median(group) for group in groups]) / sqrt(len(groups))


def student(values: Sequence[float]) -> float:
    """Return half of the 95 % interval in which another value lies: Student's t times the standard deviation."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values)


def blocks(samples: Sequence[float], count: int = BLOCKS) -> list[Sequence[float]]:
    """Cut consecutive samples into ``count`` groups whose lengths differ by one at most."""
    n = len(samples)
    return [samples[i * n // count : (i + 1) * n // count] for i in range(count)]


def tenths(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 10th and the 90th percentile."""
    if len(samples) == 1:
        return samples[0], samples[0]
    cuts = quantiles(samples, n=10, method="inclusive")
    return cuts[0], cuts[-1]


def middle_half(totals: Sequence[float]) -> list[int]:
    """Return the positions of the values between the quartiles: the typical ones, without what was disturbed.

    Means over these positions add up, which medians do not.
    """
    order = sorted(range(len(totals)), key=totals.__getitem__)
    quarter = len(order) // 4
    return order[quarter : len(order) - quarter]


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and half of its 95 % interval by Student's t; there is no interval of one value, nor of values
    of which one is not finite.

    >>> mean, half = mean_and_half([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)
    (2.0, 2.484)
    """
    if len(values) == 1 or not all(map(isfinite, values)):
        return sum(values) / len(values), None
    return fmean(values), student(values) / sqrt(len(values))
