"""A workload is warmed up until it settles, and sampled until its median is known.

A *stopwatch* runs the workload some times and gives the seconds of each phase of each run; there is one per kind of
device (``stopwatch.py``). The rules are here, and the same for all.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Literal

from resbench.workers.medians import blocks, half_width

Stopwatch = Callable[[int], list[tuple[float, ...]]]
"""It takes the number of runs, and returns the seconds of each phase of each run."""

SamplingVerdict = Literal["settled", "noisy", "unstable", "invalid"]
"""``settled``: the half-width within this process came below the precision. ``noisy``: it did not, and more samples
no longer help. ``unstable``: the time was up first. ``invalid``: too many samples had to be rejected."""

FLUSH_BYTES = 2**28
"""The last cache of any processor that we know is smaller."""

REJECTED = 0.2
"""Above this share of throttled samples nothing is said about the rest."""


@dataclass(frozen=True)
class Rules:
    """The rules say when sampling begins and stops, in seconds and in a precision relative to the median.

    A workload is warm when two consecutive medians of 5 differ by less than ``settled``.
    """

    warmup_runs: int = 10
    warmup_s: float = 1.0
    warmup_cap_s: float = 10.0
    settled: float = 0.005
    least_runs: int = 30
    least_s: float = 0.5
    precision: float = 0.005
    cap_s: float = 10.0


@dataclass(frozen=True)
class Samples:
    """Samples are the seconds of each phase (a tuple a run, after warm-up), and how the sampling went.

    ``warm``: warm-up settled before its cap. ``rejected`` runs were thrown away, for the device was throttled.
    """

    runs: tuple[tuple[float, ...], ...]
    verdict: SamplingVerdict
    warm: bool
    warmup_s: float
    rejected: int = 0

    @property
    def totals(self) -> list[float]:
        """Return the seconds of each run, over all phases."""
        return [sum(run) for run in self.runs]


def sample(
    watch: Stopwatch,
    rules: Rules | None = None,
    clock: Callable[[], float] = time.perf_counter,
    throttled: Callable[[], object] = bool,
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
                verdict: SamplingVerdict = "settled" if width <= rules.precision else "noisy"
                break
            enough, before = 2 * len(runs), width
        if spent >= rules.cap_s:
            verdict = "unstable"
            break
    if len(thrown) > REJECTED * (len(runs) + len(thrown)):
        verdict = "invalid"
    return Samples(tuple(runs or thrown), verdict, warm, begun - start, len(thrown))


def warm_up(watch: Stopwatch, rules: Rules, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Run until two consecutive medians of 5 agree; the answer is False where they did not in time.

    No run is begun when the time is up, so that a slow one, on a busy machine, makes it last little longer.
    """
    start, done, last = clock(), 0, inf
    while True:
        five: list[tuple[float, ...]] = []
        while len(five) < 5 and (not five or clock() - start < rules.warmup_cap_s):
            five += watch(1)
        middle = median(map(sum, five))
        done += len(five)
        spent = clock() - start
        calm = abs(middle - last) < rules.settled * last
        if calm and done >= rules.warmup_runs and spent >= rules.warmup_s:
            return True
        if spent >= rules.warmup_cap_s:
            return False
        last = middle


@contextmanager
def uncollected() -> Iterator[None]:
    """Run without Python's garbage collector."""
    with ExitStack() as stack:
        if gc.isenabled():
            stack.callback(gc.enable)
            gc.disable()
        yield
