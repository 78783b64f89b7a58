"""How long one workload takes: what one process reads, and what the readings of several say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import hypot
from statistics import median
from typing import Any, NamedTuple, get_args

import torch

from resbench.operators.boundaries import Modules
from resbench.timing.memory.measure import peak_bytes
from resbench.timing.ran import Ran, observed
from resbench.timing.roofline import Roof, has_roof
from resbench.timing.traffic import Traffic, traffic
from resbench.workers import stopwatch
from resbench.workers.environment import Environment
from resbench.workers.medians import half_width, tenths
from resbench.workers.nvml import gpu
from resbench.workers.sampling import Rules, Samples, SamplingVerdict, sample
from resbench.workers.workload import Setup, Workload


class Reading(NamedTuple):
    """What one process measured. Seconds."""

    phases: tuple[str, ...]
    runs: tuple[tuple[float, ...], ...]
    """Of each run, its phases."""
    verdict: SamplingVerdict
    warm: bool
    rejected: int
    macs: int
    """Of one run, forward and backward."""
    bytes: int
    """That its operators read and write; see ``resbench.timing.traffic``."""
    peak_bytes: int | None
    queued: tuple[float, ...] = ()
    """On an NVIDIA GPU, runs that were queued before they began: the device's own time."""
    graph: tuple[float, ...] = ()
    """On an NVIDIA GPU, replays of one captured run."""
    remark: str = ""
    ran: Ran | None = None
    """What really ran; None where an earlier version measured."""
    uncounted: Mapping[str, int] | None = None
    """Operators without a formula for their MACs, with their calls; None where an earlier version measured."""

    def document(self) -> dict[str, Any]:
        """As it stands in JSON; ``of`` reads it."""
        record = {**self._asdict(), "runs_s": self.runs, "ran": self.ran.document() if self.ran else None}
        del record["runs"]
        return record

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Reading:
        """From its JSON."""
        known = {key: value for key, value in record.items() if key not in ("runs_s", "ran")}
        lists = {key: tuple(record[key]) for key in ("phases", "queued", "graph")}
        ran = Ran.of(record["ran"]) if record.get("ran") else None
        return cls(**known | lists, runs=tuple(map(tuple, record["runs_s"])), ran=ran)

    @property
    def totals(self) -> list[float]:
        return [sum(run) for run in self.runs]


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
    total = sum(work.macs for work in done), sum(work.bytes for work in done)
    unknown = dict(counts.all_uncounted)
    judged = samples.verdict, samples.warm, samples.rejected
    return Reading(phases, samples.runs, *judged, *total, peak, uncounted=unknown)


@dataclass(frozen=True)
class Latency:
    """One model in one setup, measured in one process or several. Seconds of one run: a batch, forward or trained."""

    model: str
    input: tuple[int, ...]
    setup: Setup
    readings: tuple[Reading, ...]
    drift: float | None = None
    """By how much the machine's speed wanders from call to call, as a share; see ``resbench.timing.drift``."""
    calls: int = 0
    """From which that is known."""

    @property
    def ran(self) -> Ran | None:
        """What really ran; None where an earlier version measured."""
        return self.readings[0].ran

    def roof(self, roofs: Mapping[str, Roof]) -> Roof | None:
        """Of these, the one of what ran."""
        ran = self.ran
        if ran is None:
            return roofs.get(self.setup.dtype)
        if not has_roof(ran):
            return None
        same = [one for one in roofs.values() if (one.dtype, one.device) == (ran.dtype, ran.device)]
        return next((one for one in same if self.setup.kind != "cpu" or (one.threads,) == ran.threads), None)

    def where(self, here: Environment) -> Environment:
        """Here, as it was in the processes that ran."""
        return here.where(threads=self.ran.threads[0]) if self.ran else here

    @property
    def totals(self) -> list[float]:
        """All runs of all processes."""
        return [total for reading in self.readings for total in reading.totals]

    @property
    def median_s(self) -> float:
        return median(self.totals)

    @property
    def tenths_s(self) -> tuple[float, float]:
        """10th and 90th percentile."""
        return tenths(self.totals)

    @property
    def half_width_s(self) -> float | None:
        """Half of the 95 % interval of the median: over processes, and over calls as far as that is known.

        None where there was only one process.
        """
        if len(self.readings) < 2:
            return None
        return hypot(half_width([reading.totals for reading in self.readings]), (self.drift or 0) * self.median_s)

    @property
    def phases_s(self) -> dict[str, float]:
        """The median of each phase."""
        runs = [run for reading in self.readings for run in reading.runs]
        return {name: median(run[i] for run in runs) for i, name in enumerate(self.readings[0].phases)}

    @property
    def throughput(self) -> float:
        """Samples of the batch a second."""
        return self.input[0] / self.median_s

    @property
    def flops_per_s(self) -> float:
        """2 x MACs of a run, the backward pass included, over its median."""
        return 2 * self.readings[0].macs / self.median_s

    @property
    def uncounted(self) -> Mapping[str, int]:
        """Operators of a run without a formula: the MACs are too low by theirs."""
        return self.readings[0].uncounted or {}

    @property
    def peak_bytes(self) -> int | None:
        return max((r.peak_bytes for r in self.readings if r.peak_bytes is not None), default=None)

    @property
    def queued_s(self) -> float | None:
        """The device's own time; see ``resbench.workers.stopwatch``."""
        return _median([value for reading in self.readings for value in reading.queued])

    @property
    def graph_s(self) -> float | None:
        return _median([value for reading in self.readings for value in reading.graph])

    @property
    def verdict(self) -> SamplingVerdict:
        """The worst of the processes."""
        order: Sequence[SamplingVerdict] = get_args(SamplingVerdict)
        return max((reading.verdict for reading in self.readings), key=order.index)

    @property
    def warm(self) -> bool:
        """Did every process's warm-up settle?"""
        return all(reading.warm for reading in self.readings)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
