"""A process measures one case: ``python -m resbench.timing.latency.worker``.

It reads the case as JSON on its standard input, and writes its reading on its output. A module that is lent is read in
the caller's process.
"""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import torch

from resbench.codec import decoded, encoded
from resbench.errors import ResbenchError
from resbench.operators.boundaries import Modules
from resbench.timing.case import Case, one_line, workload
from resbench.timing.drift import pace
from resbench.timing.latency.result import Reading
from resbench.timing.memory.measure import peak_bytes
from resbench.timing.ran import Ran, observed
from resbench.timing.traffic import traffic
from resbench.workers import nvml, stopwatch
from resbench.workers.neighbours import taken
from resbench.workers.sampling import Rules, Samples, sample
from resbench.workers.switches import settings_kept
from resbench.workers.workload import Setup, Workload


def read(work: Workload, rules: Rules | None = None) -> Reading:
    """Measure a workload in this process."""
    with work.ready():
        eager = Workload(work.model, work.called, replace(work.setup, compile=False)) if work.setup.compile else work
        counts, _ = traffic(eager, Modules(eager.model))
        peak = peak_bytes(eager)
        others = taken()
        samples, queued, replays, remark = _timed(work, rules)
        crowd = others()
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
            others=crowd,
            uncounted=dict(counts.all_uncounted),
        )


def _timed(work: Workload, rules: Rules | None) -> tuple[Samples, list[float], list[float], str]:
    """Sample a workload as a loop runs it; on an NVIDIA GPU queued and as a graph too, or say why there is none."""
    if work.setup.kind != "cuda":
        return sample(stopwatch.eager(work), rules), [], [], ""
    throttled = partial(nvml.throttle, torch.device(work.setup.device).index or 0)
    samples = sample(stopwatch.eager(work), rules, throttled=throttled)
    queued = sample(stopwatch.queued(work), rules, throttled=throttled).totals
    try:
        return samples, queued, sample(stopwatch.graph(work), rules, throttled=throttled).totals, ""
    except RuntimeError as error:
        return samples, queued, [], f"no CUDA graph: {str(error).splitlines()[0]}"


def paced(setup: Setup, ran: Ran | None) -> Setup:
    """Say where the machine's pace is taken: on the device, and the threads on which the network ran."""
    as_asked = ran is None or ran.threads == (ran.asked_threads,)
    return Setup(device=setup.device, threads=setup.threads if as_asked or ran is None else ran.threads[0])


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Make the model ready and measure it."""
    case = decoded(Case, request)
    try:
        with settings_kept():  # the machine's pace does not depend on what the model switches off
            work, name = workload(case)
            with one_line(case):
                # the medians of n processes together are known better than one of them, by the root of n
                reading = read(work, Rules(precision=Rules().precision * sqrt(request["processes"])))
    except ResbenchError as error:
        return {"error": str(error)}
    return {
        "model": name,
        "input": list(work.tensors[0].shape),
        "batched": work.batched,
        "reading": encoded(reading),
        "pace_s": pace(paced(case.setup, reading.ran)),
    }


def main() -> None:
    """Answer on the standard output that this process was given; what a model prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        found = answer(json.load(sys.stdin))
    except KeyboardInterrupt:
        sys.exit(130)
    json.dump(found, answers)
    answers.close()


if __name__ == "__main__":
    main()
