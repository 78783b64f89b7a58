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
from functools import partial
from itertools import pairwise
from statistics import mean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from resbench.costs.module_kinds import kind_in
from resbench.errors import OptionError
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.modules import Lent
from resbench.operators.boundaries import LEAVE, Modules, sequence_number
from resbench.progress import Progress, Step, silent
from resbench.timing.case import case, ready
from resbench.timing.layers.kernels import kernel_layers
from resbench.timing.layers.result import GLUE, Layers, LayerTime, LayerTimes
from resbench.timing.ran import observed
from resbench.timing.roofline import roof_of
from resbench.timing.traffic import Traffic, Work, traffic
from resbench.units import plural
from resbench.workers import stopwatch
from resbench.workers.compiled import runs_compiled
from resbench.workers.environment import environment
from resbench.workers.medians import middle_half
from resbench.workers.neighbours import taken
from resbench.workers.optimizers import MOMENTUM
from resbench.workers.sampling import Rules, uncollected, warm_up
from resbench.workers.workload import EAGER, Cache, Dtype, MemoryFormat, Mode, Setup, Workload

COMPILED = "compiled code has no layers left to time: expected a name, and runtime='compile', for its kernels"

WHOLE = "compiled"
"""A module whose inner ones run as one piece of compiled code, where no time can be taken, has this type."""

FUSED = "fused"
"""One whose inner ones are not called has this type: one operator does their work, as in torch's encoder layer."""

LEAST_PAIRS, LEAST_S, CAP_S = 20, 2.0, 40.0
"""Instrumented and plain runs take turns: at least so many and for so long, at most for so long."""

FEWEST_PAIRS = 4
"""Ctrl-C keeps the layers from so many on: fewer have no middle half."""

Owned = tuple[Any, int]
"""From a point in time on, the time belongs to this module."""


@public
def layers(
    model: str | Lent,
    input: Input = None,
    *,
    device: str = "cpu",
    batch: int = 1,
    dtype: Dtype = "fp32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "inference",
    cache: Cache = "warm",
    runtime: str = EAGER,
    threads: int | None = None,
    optimizer: str = MOMENTUM,
    progress: Progress = silent,
) -> Layers:
    """Measure the time of every layer of one model, in this process, under the ceilings of what ran.

    In another runtime, such as ``onnxruntime``, it is the time of every kernel in a process of its own, under the names
    of the modules that it covers. Raises OptionError for a runtime that does not tell, and MeasureError for what this
    machine cannot do.
    """
    setup = Setup(device, batch, dtype, memory_format, mode, cache, runtime, threads, optimizer)
    if runtime != EAGER:
        if not isinstance(model, str):
            raise OptionError(f"a module that is lent runs in this process: expected a name for {runtime}")
        return kernel_layers(case(model, input, setup), progress)
    with ready(model, input, setup) as (work, name), work.ready():

        def of_pairs(pairs: int, share: float) -> None:
            keeps = f"the layers by {plural(pairs, 'run')}" if pairs >= FEWEST_PAIRS else ""
            progress(Step(f"{name}: plain and instrumented runs in turn", keeps), share)

        progress(Step(f"{name}: warming up"), 0.0)
        warm_up(stopwatch.eager(work), Rules())
        others = taken()
        times = layer_times(work, progress=of_pairs)
        crowd = others()
        ran, machine = observed(work), environment(setup.device)
        ceiling = roof_of(ran, progress)
    return Layers(name, times, ceiling, setup, machine.on(ran.threads[0]), ran, crowd)


def layer_times(
    work: Workload,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, float], object] = lambda pairs, share: None,
) -> LayerTimes:
    """Time every layer of a workload that is ready and warm; Ctrl-C gives what the runs so far say.

    ``progress`` is told the pairs of runs so far, and their share. Raises OptionError for a compiled workload.
    """
    if work.setup.compile:
        raise OptionError(COMPILED)
    modules = Modules(work.model)
    took_s = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        _timed_run(work, modules)
        took_s = time.perf_counter() - begun
    if work.setup.kind == "cuda":
        rest = partial(stopwatch.rest, took_s)
        plain, instrumented = stopwatch.queued(work), partial(_timed_run, work, modules, rest)
    else:
        plain, instrumented = stopwatch.eager(work), partial(_timed_run, work, modules)
    pairs: list[tuple[float, _TimedRun]] = []
    interrupted, start = False, clock()
    try:
        while (len(pairs) < LEAST_PAIRS or clock() - start < LEAST_S) and (spent_s := clock() - start) < CAP_S:
            least = min(len(pairs) / LEAST_PAIRS, spent_s / LEAST_S if LEAST_S else 1.0)
            progress(len(pairs), max(least, spent_s / CAP_S))
            if len(pairs) % 2:
                run = instrumented()
                pairs.append((sum(plain(1)[0]), run))
            else:
                pairs.append((sum(plain(1)[0]), instrumented()))
    except KeyboardInterrupt:
        if len(pairs) < FEWEST_PAIRS:
            raise
        interrupted = True
    plain_s = [seconds for seconds, _ in pairs]
    total_s = [run.total_s for _, run in pairs]
    typical = [pairs[i][1] for i in middle_half(total_s)]
    forward, backward, step = (
        _means([getattr(run, phase) for run in typical]) for phase in ("forward", "backward", "step")
    )
    counts, saved = traffic(work, modules)
    whole = _taken_in(modules, set(forward), counts, saved)
    inside = WHOLE if runs_compiled(work) else FUSED
    rows = []
    for number in (*sorted(forward.keys() - {0}), 0):  # as the model runs them, its own glue last
        type_ = GLUE if number in counts.callers else type(modules.modules[number]).__name__
        type_ = inside if number in whole else type_
        times = forward[number], backward.get(number, 0.0) if backward else None
        saved_bytes = saved.get(number, 0) if backward else None
        name = modules.names[number] or type(work.model).__name__
        works = counts.forward[number], counts.backward[number]
        rows.append(
            LayerTime(
                name,
                type_,
                *times,
                *works[0].plus(works[1]),
                *works,
                saved_bytes,
                dict(counts.uncounted[number]),
                kind_in(modules.modules[number], counts.kinds[number]),
            )
        )
    overheads = tuple(run.total_s / seconds - 1 for seconds, run in pairs)
    return LayerTimes(
        tuple(rows),
        step.get(0),
        mean(run.total_s for run in typical),
        mean(plain_s[i] for i in middle_half(plain_s)),
        overheads,
        interrupted,
    )


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
        counts.kinds[around] |= counts.kinds.pop(number, set())
        saved[around] += saved.pop(number, 0)
        whole.add(around)
    return whole


class _TimedRun(NamedTuple):
    """One instrumented run took these seconds by module in each phase that it has, and all of it ``total_s``."""

    forward: dict[int, float]
    backward: dict[int, float]
    step: dict[int, float]
    total_s: float


def _timed_run(work: Workload, modules: Modules, rest: Callable[[], object] = lambda: None) -> _TimedRun:
    """Run once with a time taken at every boundary; the clocks are read when all is done.

    ``rest`` comes before each phase: an NVIDIA GPU waits there until all of the phase is queued.
    """
    with uncollected():
        spans = _spans(work, modules, rest)
    work.finish()
    total_s = sum(stopwatch.seconds(points[0][0], points[-1][0]) for points in spans)
    forward, *others = [_intervals(points) for points in spans]
    backward, step = others or ({}, {})
    return _TimedRun(forward, backward, step, total_s)


def _spans(work: Workload, modules: Modules, rest: Callable[[], object]) -> list[list[Owned]]:
    """Run every phase; give the points in time of each, the last of which is its end."""
    now, phases = stopwatch.CLOCKS[work.setup.kind], [phase for _, phase in work.phases]
    log, points = list[tuple[Any, int, int]](), list[Owned]()
    owners, packed = list[int](), set[int]()

    def mark(number: int) -> None:
        log.append((now(), number, sequence_number()))

    def reached(number: int) -> None:
        points.append((now(), number))

    def pack(tensor: Tensor) -> tuple[int, Tensor]:
        packed.add(sequence_number() - 1)
        return len(log) - 1, tensor

    def unpack(saved: tuple[int, Tensor]) -> Tensor:
        at, tensor = saved
        if points and owners[at] != points[-1][1]:  # before there are any, the forward takes gradients itself
            reached(owners[at])
        return tensor

    with modules.watched(mark), torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        rest()
        mark(0)
        phases[0]()
        end = now()
    owners += _innermost(number for _, number, _ in log)
    forward = [(when, owner) for (when, _, _), owner in zip(log, owners, strict=True)]
    forward.append((end, 0))
    if work.loss is None:
        return [forward]
    starts = [(at, owner) for (_, _, at), owner in zip(log, owners, strict=True)]
    modules.watch_backward(work.loss, starts, reached, known=packed)
    rest()
    reached(0)
    phases[1]()
    reached(0)
    rest()
    step = [(now(), 0)]
    phases[2]()
    step.append((now(), 0))
    return [forward, points, step]


def _innermost(numbers: Iterable[int]) -> Iterator[int]:
    """Give for each boundary the module that is innermost from there on."""
    open_modules: list[int] = []
    for number in numbers:
        if number == LEAVE:
            open_modules.pop()
        else:
            open_modules.append(number)
        yield open_modules[-1]


def _intervals(points: Sequence[Owned]) -> dict[int, float]:
    """Sum the seconds of each owner: a point's last until the next point."""
    return _by_module((owner, stopwatch.seconds(when, until)) for (when, owner), (until, _) in pairwise(points))


def _means(runs: Sequence[dict[int, float]]) -> dict[int, float]:
    return _by_module((number, seconds / len(runs)) for run in runs for number, seconds in run.items())


def _by_module(parts: Iterable[tuple[int, float]]) -> dict[int, float]:
    sums: defaultdict[int, float] = defaultdict(float)
    for number, seconds in parts:
        sums[number] += seconds
    return dict(sums)
