"""Every layer has a time, forward and backward, and the rows add up to the whole.

At every boundary between modules a time is taken; each interval belongs to the innermost module that was open. What
a module does beside calling others (sums, functional calls, Python) is a row of its own, *glue*. Means over the
typical runs (the middle half by total time) are printed: means add up, medians do not. Plain runs in between, without
any hook, say what the instruments cost.

On an NVIDIA GPU the times are events, and each pass is queued before it begins: what a layer takes is the device's own
time, not the host's for launching it. (What goes beyond some 1,000 kernels and events is queued while the pass runs.)
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import mean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resbench.errors import OptionError
from resbench.networks.name import Input
from resbench.operators.boundaries import LEAVE, Modules, sequence_number
from resbench.result import Progress, silent
from resbench.timing.case import ready
from resbench.timing.layers.result import Layers, LayerTime, LayerTimes
from resbench.timing.ran import observed
from resbench.timing.roofline import roof_of
from resbench.timing.traffic import Traffic, Work, traffic
from resbench.workers import stopwatch
from resbench.workers.compiled import runs_compiled
from resbench.workers.environment import environment
from resbench.workers.medians import middle_half
from resbench.workers.sampling import Rules, warm_up
from resbench.workers.workload import Cache, Dtype, MemoryFormat, Mode, Setup, Workload

COMPILED = "a compiled model has no layers left to time: expected --layers or --compile, not both"

GLUE = "glue"
"""What a module does beside calling others has this type."""

WHOLE = "compiled"
"""A module whose inner ones run as one piece of compiled code, where no time can be taken, has this type."""

FUSED = "fused"
"""One whose inner ones are not called has this type: one operator does their work, as in torch's encoder layer."""

LEAST_PAIRS, LEAST_S, CAP_S = 20, 2.0, 40.0
"""Instrumented and plain runs take turns: at least so many and for so long, at most for so long."""

Owned = tuple[Any, int]
"""From a point in time on, the time belongs to this module."""

_Span = tuple[Any, list[Owned], Any]
"""A span is the begin of one phase, the points in it, and its end."""


def layers(
    model: str | nn.Module,
    input: Input = None,
    *,
    device: str = "cpu",
    batch: int = 1,
    dtype: Dtype = "fp32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "inference",
    cache: Cache = "warm",
    threads: int | None = None,
    progress: Progress = silent,
) -> Layers:
    """The time of every layer of one model, in this process, under the ceilings of what ran.

    Raises MeasureError for what this machine cannot do.
    """
    setup = Setup(device, batch, dtype, memory_format, mode, cache, False, threads)
    with ready(model, input, setup) as (work, name), work.ready():
        progress(f"{name}: warming up, then plain and instrumented runs in turn", 0.0)
        warm_up(stopwatch.eager(work), Rules())
        times = layer_times(work)
        ran, machine = observed(work), environment(setup.device)
        progress(f"the machine's ceilings in {ran.dtype} (kept for the next time)", 1.0)
        ceiling = roof_of(ran)
    return Layers(name, times, ceiling, setup, machine.where(threads=ran.threads[0]), ran)


def layer_times(work: Workload, clock: Callable[[], float] = time.perf_counter) -> LayerTimes:
    """Time every layer of a workload that is ready and warm. Raises OptionError for a compiled one."""
    if work.setup.compile:
        raise OptionError(COMPILED)
    modules = Modules(work.model)
    instrumented = _Instrument(work, modules)
    took_s = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        instrumented.run()
        took_s = time.perf_counter() - begun
    if work.setup.kind == "cuda":
        plain, instrumented.rest_s = stopwatch.queued(work), took_s
    else:
        plain = stopwatch.eager(work)
    pairs: list[tuple[float, _TimedRun]] = []
    start = clock()
    while (len(pairs) < LEAST_PAIRS or clock() - start < LEAST_S) and clock() - start < CAP_S:
        if len(pairs) % 2:
            run = instrumented.run()
            pairs.append((sum(plain(1)[0]), run))
        else:
            pairs.append((sum(plain(1)[0]), instrumented.run()))
    totals = [run.total_s for _, run in pairs]
    typical = [pairs[i] for i in middle_half(totals)]
    runs = [run for _, run in typical]
    forward, backward = (_means([getattr(run, phase) for run in runs]) for phase in ("forward", "backward"))
    counts, saved = traffic(work, modules)
    whole = _taken_in(modules, set(forward), counts, saved)
    inside = WHOLE if runs_compiled(work) else FUSED
    rows = []
    for number in _in_order(modules, forward):
        kind = GLUE if number in counts.callers else type(modules.modules[number]).__name__
        kind = inside if number in whole else kind
        times = forward[number], backward.get(number, 0.0) if backward else None
        saved_bytes = saved.get(number, 0) if backward else None
        name = modules.names[number] or type(work.model).__name__
        works = counts.forward[number], counts.backward[number]
        rows.append(
            LayerTime(name, kind, *times, *works[0].plus(works[1]), *works, saved_bytes, dict(counts.uncounted[number]))
        )
    plain_s = mean(sorted(seconds for seconds, _ in pairs)[len(pairs) // 4 : len(pairs) - len(pairs) // 4])
    step = mean(run.step_s for run in runs) if backward else None
    overheads = tuple(run.total_s / seconds - 1 for seconds, run in pairs)
    return LayerTimes(tuple(rows), step, mean(run.total_s for run in runs), plain_s, overheads)


def _taken_in(modules: Modules, timed: set[int], counts: Traffic, saved: Counter[int]) -> set[int]:
    """Book what was counted inside compiled code or a fused operator, where there are no times, on the timed module
    around it; give those."""
    numbers = {name: number for number, name in enumerate(modules.names)}
    whole = set()
    for number in sorted({*counts.forward, *counts.backward, *counts.uncounted, *saved} - timed):
        name = modules.names[number]
        while numbers[name] not in timed:
            name = name.rpartition(".")[0]
        around = numbers[name]
        for works in (counts.forward, counts.backward):
            works[around] = works[around].plus(works.pop(number, Work()))
        counts.uncounted[around] += counts.uncounted.pop(number, Counter())
        saved[around] += saved.pop(number, 0)
        whole.add(around)
    return whole


def _in_order(modules: Modules, forward: dict[int, float]) -> Iterator[int]:
    """List the modules that ran as the model does, its own glue last."""
    yield from (number for number in range(1, len(modules.names)) if number in forward)
    yield 0


def _means(runs: Sequence[dict[int, float]]) -> dict[int, float]:
    sums: defaultdict[int, float] = defaultdict(float)
    for run in runs:
        for number, seconds in run.items():
            sums[number] += seconds / len(runs)
    return dict(sums)


class _TimedRun(NamedTuple):
    """One instrumented run took these seconds by module, and all of it these."""

    forward: dict[int, float]
    backward: dict[int, float]
    step_s: float
    total_s: float


class _Instrument:
    """It runs a workload with a time taken at every boundary."""

    def __init__(self, work: Workload, modules: Modules) -> None:
        self.work, self.modules = work, modules
        self.phases = [phase for _, phase in work.phases]
        self.now = _Events() if work.setup.kind == "cuda" else _host(work.setup.kind)
        self.rest_s = 0.0
        """On an NVIDIA GPU the host takes so long for a run, once that is known."""

    def run(self) -> _TimedRun:
        """Run once; the clocks are read when all is done."""
        if isinstance(self.now, _Events):
            self.now.used = 0
        with stopwatch.uncollected():
            spans = self._passes()
            if len(self.phases) > 1:
                spans.append(self._step())
        if self.work.setup.kind == "cuda":
            torch.cuda.synchronize()
        seconds = [_seconds(begin, end) for begin, _, end in spans]
        owned = [_intervals(points, end) for _, points, end in spans[:2]]
        step_s = seconds[2] if len(seconds) > 2 else 0.0
        return _TimedRun(owned[0], owned[1] if len(owned) > 1 else {}, step_s, sum(seconds))

    def _passes(self) -> list[_Span]:
        """Run forward, and backward where there is one."""
        now, log, points = self.now, list[tuple[Any, int, int]](), list[Owned]()
        add, reach, owners = log.append, points.append, list[int]()
        packed = set[int]()

        def mark(number: int) -> None:
            add((now(), number, sequence_number()))

        def pack(tensor: Tensor) -> tuple[int, Tensor]:
            packed.add(sequence_number() - 1)
            return len(log) - 1, tensor

        def unpack(saved: tuple[int, Tensor]) -> Tensor:
            at, tensor = saved
            owner = owners[at]
            if owner != points[-1][1]:
                reach((now(), owner))
            return tensor

        with self.modules.watched(mark), torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            self._rest()
            begin = now()
            add((begin, 0, sequence_number()))
            self.phases[0]()
            end = now()
        owners += _innermost(number for _, number, _ in log)
        forward = begin, [(when, owner) for (when, _, _), owner in zip(log, owners, strict=True)], end
        if self.work.loss is None:
            return [forward]
        starts = [(at, owner) for (_, _, at), owner in zip(log, owners, strict=True)]

        def reached(number: int) -> None:
            reach((now(), number))

        self.modules.watch_backward(self.work.loss, starts, reached, known=packed)
        self._rest()
        begin = now()
        reach((begin, 0))
        self.phases[1]()
        return [forward, (begin, points, now())]

    def _rest(self) -> None:
        """Wait, so that all of a pass is queued before it begins."""
        if self.rest_s:
            stopwatch.rest(self.rest_s)

    def _step(self) -> _Span:
        self._rest()
        begin = self.now()
        self.phases[2]()
        return begin, [], self.now()


def _innermost(numbers: Iterable[int]) -> Iterator[int]:
    """Give for each boundary the module that is innermost from there on."""
    open_modules: list[int] = []
    for number in numbers:
        if number == LEAVE:
            open_modules.pop()
        else:
            open_modules.append(number)
        yield open_modules[-1]


def _intervals(points: Sequence[Owned], end: Any) -> dict[int, float]:
    """Sum seconds by owner: each point's lasts until the next point."""
    sums: defaultdict[int, float] = defaultdict(float)
    for (when, owner), (until, _) in pairwise((*points, (end, 0))):
        sums[owner] += _seconds(when, until)
    return dict(sums)


def _seconds(begin: Any, end: Any) -> float:
    return float(end - begin) / 1e9 if isinstance(begin, int) else float(begin.elapsed_time(end)) / 1e3


def _host(kind: str) -> Callable[[], int]:
    if kind != "mps":
        return time.perf_counter_ns

    def now() -> int:
        torch.mps.synchronize()
        return time.perf_counter_ns()

    return now


class _Events:
    """It takes the time of a GPU, in events that are made once."""

    def __init__(self) -> None:
        self.made: list[torch.cuda.Event] = []
        self.used = 0

    def __call__(self) -> torch.cuda.Event:
        if self.used == len(self.made):
            self.made.append(stopwatch.new_event())
        event = self.made[self.used]
        self.used += 1
        event.record()
        return event
