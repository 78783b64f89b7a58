"""A process measures one case: ``python -m resbench.timing.latency.worker``.

It reads the case as JSON on its standard input, and writes its reading on its output. A module that is lent is read in
the caller's process.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_leaves

from resbench.codec import decoded, encoded
from resbench.operators.boundaries import Modules
from resbench.timing.accuracy import Accuracy, Data, rightly, to_name
from resbench.timing.case import Case, one_line, workload
from resbench.timing.drift import pace
from resbench.timing.latency.result import Deployed, Reading
from resbench.timing.memory.measure import peak_bytes
from resbench.timing.ran import Ran, observed
from resbench.timing.runtimes.runtime import agreement, difference
from resbench.timing.traffic import traffic
from resbench.workers import nvml, stopwatch
from resbench.workers.asking import Answer, answer
from resbench.workers.cores import keep_to
from resbench.workers.neighbours import taken
from resbench.workers.resident import peak_resident_bytes, resident_bytes
from resbench.workers.sampling import Rules, Samples, sample
from resbench.workers.switches import settings_kept
from resbench.workers.workload import EAGER, Setup, Workload

INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"
"""Torch's compiler keeps its code in the folder that this variable names."""


class Begun(NamedTuple):
    """A process that measures one case began so."""

    bare: int | None
    """It held so many bytes before the model was made; None: nothing says, or it read a set of images besides."""
    cache: Path | None
    """Compiled code is kept in this folder, which is empty; None where none is, or it holds some."""
    cores: Sequence[int]
    """It is kept to these processors."""
    shown: Data | None = None
    """It names images of this set."""


def read(work: Workload, rules: Rules | None = None, begun: Begun | None = None) -> Reading:
    """Measure a workload in this process; ``begun`` is what a process knows that began with it."""
    with work.ready():
        first_s, resident = _first(work), peak_resident_bytes()
        others = taken()
        samples, queued, replays, remark = _timed(work, rules)
        crowd = others()
        eager = Workload(work.model, work.called, replace(work.setup, runtime=EAGER)) if work.setup.compile else work
        counts, _ = traffic(eager, Modules(eager.model))
        peak = peak_bytes(eager)
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
            deployed=begun and _deployed(work, begun, first_s, resident),
        )


def _first(work: Workload) -> float:
    """Run once, and return the seconds: compiled code is made meanwhile."""
    start = time.perf_counter()
    work.run()
    work.finish()
    return time.perf_counter() - start


def _deployed(work: Workload, begun: Begun, first_s: float, resident: int | None) -> Deployed:
    """Say what torch needed besides, and how far its answers are from those of eager fp32."""
    needed = None if begun.bare is None or resident is None or work.setup.kind != "cpu" else resident - begun.bare
    cold, far = begun.cache is not None and any(begun.cache.iterdir()), None
    if work.setup.mode == "inference" and (work.setup.compile or work.setup.dtype != "fp32"):
        with work.autocast():
            answers = _answers(work.call(*work.inputs, **work.named))
        reference = _answers(work.model(*work.inputs, **work.named))
        # what eager answers in another dtype is shown, and not judged: it is what was asked for
        far = agreement(answers, reference, work.setup.dtype) if work.setup.compile else difference(answers, reference)
    named = begun.shown and _named(work, begun.shown)
    torch_version, cores = f"torch {torch.__version__}", tuple(begun.cores)
    return Deployed(torch_version, cold, None, first_s, needed, difference=far, cores=cores, accuracy=named)


def _named(work: Workload, data: Data) -> Accuracy:
    """Show it every image; it is timed by then."""
    shown = to_name(data, tuple(work.inputs[0].shape[1:]))

    def answer(part: Any) -> Any:
        with work.autocast():
            return _answers(work.call(torch.from_numpy(part).to(work.inputs[0])))[0]

    return Accuracy(data.name, rightly(answer, shown, work.setup.batch), len(shown.labels))


def _answers(outputs: Any) -> list[Any]:
    return [one.detach().float().cpu().numpy() for one in tree_leaves(outputs) if isinstance(one, torch.Tensor)]


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


def measured(request: dict[str, Any]) -> Answer:
    """Make the model ready and measure it."""
    case = decoded(Case, request["case"])
    keep_to(request["cores"])
    cache = Path(os.environ[INDUCTOR]) if case.setup.compile else None
    empty = cache if cache and not any(cache.iterdir()) else None
    bare = None if case.data else resident_bytes()
    begun = Begun(bare, empty, request["cores"], case.data if request["inspected"] else None)
    with settings_kept():  # the machine's pace does not depend on what the model switches off
        work, name = workload(case)
        with one_line(case):
            # the medians of n processes together are known better than one of them, by the root of n
            reading = read(work, Rules(precision=Rules().precision * sqrt(request["processes"])), begun)
    return {
        "model": name,
        "input": list(work.tensors[0].shape),
        "batched": work.batched,
        "reading": encoded(reading),
        "pace_s": pace(paced(case.setup, reading.ran)),
    }


if __name__ == "__main__":
    answer(measured)
