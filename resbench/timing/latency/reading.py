"""What one process reads of how long one workload takes."""

from __future__ import annotations

from dataclasses import replace

import torch

from resbench.operators.boundaries import Modules
from resbench.timing.latency.result import Reading
from resbench.timing.memory.measure import peak_bytes
from resbench.timing.ran import Ran, observed
from resbench.timing.traffic import traffic
from resbench.workers import stopwatch
from resbench.workers.nvml import gpu
from resbench.workers.sampling import Rules, Samples, sample
from resbench.workers.workload import Setup, Workload


def read(work: Workload, rules: Rules | None = None) -> Reading:
    """Measure a workload in this process."""
    with work.ready():
        eager = Workload(work.model, work.inputs, replace(work.setup, compile=False)) if work.setup.compile else work
        counts, _ = traffic(eager, Modules(eager.model))
        peak = peak_bytes(eager)
        samples, queued, replays, remark = _timed(work, rules)
        done = [*counts.forward.values(), *counts.backward.values()]
        return Reading(
            phases=tuple(name for name, _ in work.phases),
            runs_s=samples.runs,
            verdict=samples.verdict,
            warm=samples.warm,
            rejected=samples.rejected,
            macs=sum(work.macs for work in done),
            peak_bytes=peak,
            bytes=sum(work.bytes for work in done),
            queued=tuple(queued),
            graph=tuple(replays),
            remark=remark,
            ran=observed(work),
            uncounted=dict(counts.all_uncounted),
        )


def _timed(work: Workload, rules: Rules | None) -> tuple[Samples, list[float], list[float], str]:
    """Sample a workload as a loop runs it; on an NVIDIA GPU queued and as a graph too, or say why there is none."""
    if work.setup.kind != "cuda":
        return sample(stopwatch.eager(work), rules), [], [], ""
    watched = gpu(torch.device(work.setup.device).index or 0)
    throttled = (lambda: bool(watched.reading().throttle)) if watched else bool
    samples = sample(stopwatch.eager(work), rules, throttled=throttled)
    queued = sample(stopwatch.queued(work), rules, throttled=throttled).totals
    try:
        return samples, queued, sample(stopwatch.graph(work), rules, throttled=throttled).totals, ""
    except RuntimeError as error:
        return samples, queued, [], f"no CUDA graph: {str(error).splitlines()[0]}"


def paced(setup: Setup, ran: Ran | None) -> Setup:
    """Where the machine's pace is taken: the device, and the threads on which the network ran."""
    as_asked = ran is None or ran.threads == (ran.asked_threads,)
    return Setup(device=setup.device, threads=setup.threads if as_asked or ran is None else ran.threads[0])
