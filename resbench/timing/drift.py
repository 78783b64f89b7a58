"""A small piece of work, timed in every call and kept, tells how far the speed of a machine wanders between calls.

A shared machine is faster for some minutes and slower for the next. No repetition within one call can know that, so
what earlier calls saw is part of the interval: an evaluation of type B, from experience with the instrument (JCGM 100,
"Guide to the expression of uncertainty in measurement", sec. 4.3).

>>> half_width([1.0, 1.0]) is None
True
>>> round(half_width([0.98, 1.0, 1.02, 1.0]), 3)
0.052
"""

import json
import time
from collections.abc import Sequence
from math import log
from statistics import median

from torch import nn

from resbench.files import cache, keep
from resbench.workers import stopwatch
from resbench.workers.environment import environment
from resbench.workers.medians import student
from resbench.workers.workload import Setup, Workload

SCHEMA = 1
KEPT = 100
"""So many calls are remembered, the last ones."""
LEAST = 3
"""Student's t says nothing of fewer calls."""
RUNS, CAP_S = 300, 3.0
"""The piece of work runs so often: a quarter of a second on a CPU. On a busy one it ends after the second number."""


def pace(setup: Setup) -> float:
    """Return the median seconds of eight 3x3 convolutions with BN and ReLU, 32 channels of 32x32, on these threads."""
    layers = [layer for _ in range(8) for layer in (nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())]
    work = Workload(nn.Sequential(*layers), (1, 32, 32, 32), Setup(device=setup.device, threads=setup.threads))
    with work.ready():
        watch = stopwatch.eager(work)
        runs, end = list[tuple[float, ...]](), time.monotonic() + CAP_S
        watch(20)
        while len(runs) < RUNS and (not runs or time.monotonic() < end):
            runs += watch(20)
        return median(map(sum, runs))


def noted(setup: Setup, paces: Sequence[float]) -> tuple[float | None, int]:
    """Keep what the processes of this call saw. Return the relative drift over all calls, and how many there are."""
    key = f"{environment(setup.device).timed.id}-{setup.device.replace(':', '-')}-{setup.threads or 0}"
    path = cache(f"pace-{key}.json")
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path else {}
        earlier = [float(number) for number in stored["paces"]] if stored["schema"] == SCHEMA else []
    except (OSError, ValueError, TypeError, KeyError):
        earlier = []
    all_paces = [*(number for number in earlier if number > 0), median(paces)][-KEPT:]
    keep(path, json.dumps({"schema": SCHEMA, "paces": all_paces}) + "\n")
    return half_width(all_paces), len(all_paces)


def half_width(paces: Sequence[float]) -> float | None:
    """Return half of the 95 % interval in which a call lies, as a share: it is that of the logarithms."""
    return None if len(paces) < LEAST else student([log(pace) for pace in paces])
