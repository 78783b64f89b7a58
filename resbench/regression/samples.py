"""A process runs a benchmark for the duel in samples, each of several pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resbench.workers.workload import Workload

SAMPLES, SAMPLE_S = 25, 0.01
"""A process takes so many samples of a benchmark, and each lasts at least so long. A shared core changes its speed by
a third from one moment to the next: from round to round the median ratio of 25 short turns differs by 1 to 3 %, that of
5 long ones, which take the same time, by 2 to 9 % (`results/gate/turns.txt`)."""

PIECE_S = 0.0005
"""A sample is timed in pieces of one run, or of as many as last so long; its figure is the fastest of them. What else
runs on a core comes in slices of some milliseconds, which some of the pieces escape."""


def often(work: Workload, calls: int) -> Callable[[], None]:
    """Return a function that makes so many runs and waits until the device is done with them."""

    def sample() -> None:
        for _ in range(calls):
            work.run()
        work.finish()

    return sample


def fastest(times: Sequence[float], runs: int, pieces: int) -> list[float]:
    """Return the seconds a run in the fastest piece of each sample, in six digits.

    >>> fastest([0.6, 0.4, 0.5, 0.8], runs=2, pieces=2)
    [0.2, 0.25]
    """
    starts = range(0, len(times), pieces)
    return [float(f"{min(times[start : start + pieces]) / runs:.6g}") for start in starts]


def cut(work: Workload) -> tuple[int, int]:
    """Find how many runs make a piece and how many pieces a sample; the benchmark is warm afterwards."""
    often(work, 1)()
    start = time.perf_counter()
    often(work, 2)()
    run_s = (time.perf_counter() - start) / 2
    runs = ceil(PIECE_S / run_s)
    pieces = ceil(SAMPLE_S / run_s / runs)
    often(work, runs * pieces)()
    return runs, pieces
