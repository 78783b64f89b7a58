"""How a workload is sampled: warm up until it is settled, sample until the median is known, or say that it is not.

A *stopwatch* runs the workload some times and gives the seconds of each phase of each run; there is one per kind of
device (``stopwatch.py``). The rules are here, and the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Literal

from resbench.workers.medians import blocks, half_width

Stopwatch = Callable[[int], list[tuple[float, ...]]]
"""How often to run -> for each run, the seconds of its phases."""

Verdict = Literal["settled", "noisy", "unstable", "invalid"]
"""``settled``: the half-width within this process came below the precision. ``noisy``: it did not, and more samples
no longer help. ``unstable``: the time was up first. ``invalid``: too many samples had to be rejected."""

REJECTED = 0.2
"""The share of throttled samples above which nothing is said about the rest."""


@dataclass(frozen=True)
class Rules:
    """When to begin, and when to stop. Seconds, and a precision relative to the median."""

    warmup_runs: int = 10
    warmup_s: float = 1.0
    warmup_cap_s: float = 10.0
    settled: float = 0.005
    """Warm when two consecutive medians of 5 differ by less."""
    least_runs: int = 30
    least_s: float = 0.5
    precision: float = 0.005
    cap_s: float = 10.0


@dataclass(frozen=True)
class Samples:
    """The seconds of each phase (a tuple a run, after warm-up), and how the sampling went."""

    runs: tuple[tuple[float, ...], ...]
    verdict: Verdict
    warm: bool
    """Did warm-up settle before its cap?"""
    warmup_s: float
    rejected: int = 0
    """Further runs that were thrown away, for the device was throttled."""

    @property
    def totals(self) -> list[float]:
        """Seconds of each run, all phases."""
        return [sum(run) for run in self.runs]


def sample(
    watch: Stopwatch,
    rules: Rules | None = None,
    clock: Callable[[], float] = time.perf_counter,
    throttled: Callable[[], bool] = bool,
) -> Samples:
    """Warm up, then sample, in pieces of about a tenth of a second; what ran while throttled is thrown away."""
    rules = rules or Rules()
    start = clock()
    warm = warm_up(watch, rules, clock)
    begun = clock()
    runs: list[tuple[float, ...]] = []
    thrown: list[tuple[float, ...]] = []
    enough, before, spent = rules.least_runs, inf, 0.0
    while True:
        done = len(runs) + len(thrown)
        piece = watch(max(1, int(0.1 * done / spent)) if done else 1)
        (thrown if throttled() else runs).extend(piece)
        spent = clock() - begun
        if len(runs) >= enough and spent >= rules.least_s:
            totals = [sum(run) for run in runs]
            width = half_width(blocks(totals)) / median(totals)
            if width <= rules.precision or width > 0.9 * before:  # twice the samples should take three tenths off
                verdict: Verdict = "settled" if width <= rules.precision else "noisy"
                break
            enough, before = 2 * len(runs), width
        if spent >= rules.cap_s:
            verdict = "unstable"
            break
    if len(thrown) > REJECTED * (len(runs) + len(thrown)):
        verdict = "invalid"
    return Samples(tuple(runs or thrown), verdict, warm, begun - start, len(thrown))


def warm_up(watch: Stopwatch, rules: Rules, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Run until two consecutive medians of 5 agree; False where they did not in time."""
    start, done, last = clock(), 0, None
    while True:
        five = median(sum(run) for run in watch(5))
        done += 5
        spent = clock() - start
        calm = last is not None and abs(five - last) < rules.settled * last
        if calm and done >= rules.warmup_runs and spent >= rules.warmup_s:
            return True
        if spent >= rules.warmup_cap_s:
            return False
        last = five
