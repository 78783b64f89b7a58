"""What one process reads of how long one workload takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import torch

from resbench.operators.boundaries import Modules
from resbench.timing.latency.result import Reading
from resbench.timing.memory.measure import peak_bytes
from resbench.timing.ran import Ran, observed
from resbench.timing.traffic import Traffic, traffic
from resbench.workers import stopwatch
from resbench.workers.nvml import gpu
from resbench.workers.sampling import Rules, Samples, sample
from resbench.workers.workload import Setup, Workload


def read(work: Workload, rules: Rules | None = None) -> Reading:
    """Measure a workload in this process."""
    with work.ready():
        return _timed(work, rules)._replace(ran=observed(work))


def _timed(work: Workload, rules: Rules | None) -> Reading:
    eager = Workload(work.model, work.inputs, replace(work.setup, compile=False)) if work.setup.compile else work
    counts, _ = traffic(eager, Modules(eager.model))
    peak = peak_bytes(eager)
    if work.setup.kind != "cuda":
        return _reading(work, sample(stopwatch.eager(work), rules), counts, peak)
    watched = gpu(torch.device(work.setup.device).index or 0)
    throttled = (lambda: bool(watched.reading().throttle)) if watched else bool
    remark, replays = "", list[float]()
    samples = sample(stopwatch.eager(work), rules, throttled=throttled)
    queued = sample(stopwatch.queued(work), rules, throttled=throttled).totals
    try:
        replays = sample(stopwatch.graph(work), rules, throttled=throttled).totals
    except RuntimeError as error:
        remark = f"no CUDA graph: {str(error).splitlines()[0]}"
    return _reading(work, samples, counts, peak)._replace(queued=tuple(queued), graph=tuple(replays), remark=remark)


def _reading(work: Workload, samples: Samples, counts: Traffic, peak: int | None) -> Reading:
    phases = tuple(name for name, _ in work.phases)
    done = list(chain(counts.forward.values(), counts.backward.values()))
    macs, moved = sum(work.macs for work in done), sum(work.bytes for work in done)
    unknown = dict(counts.all_uncounted)
    judged = samples.verdict, samples.warm, samples.rejected
    return Reading(phases, samples.runs, *judged, macs, peak, moved, uncounted=unknown)


def paced(setup: Setup, ran: Ran | None) -> Setup:
    """Where the machine's pace is taken: the device, and the threads on which the network ran."""
    as_asked = ran is None or ran.threads == (ran.asked_threads,)
    return Setup(device=setup.device, threads=setup.threads if as_asked or ran is None else ran.threads[0])
