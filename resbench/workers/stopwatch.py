"""A stopwatch takes the seconds of each phase of a workload, on the clock of its device.

On a CPU and on Apple's GPUs the host's clock is read around each phase. On an NVIDIA GPU events are recorded between
the phases, and read after one synchronisation at the end. There are three ways to run it there:

    eager    as a loop runs it: what the GPU does, and its waiting for launches
    queued   the GPU sleeps until all of a run is queued: what the GPU does, alone (runs of up to about 1,000 kernels)
    graph    one launch replays a captured run
"""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from resbench.workers.sampling import FLUSH_BYTES, Stopwatch, uncollected
from resbench.workers.workload import Workload


def _finished_ns() -> int:
    """Read the host's clock when an Apple GPU has done what it was given."""
    torch.mps.synchronize()
    return time.perf_counter_ns()


def _recorded_event() -> torch.cuda.Event:
    """Return an event that an NVIDIA GPU reaches when it has done what was queued before."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


CLOCKS: dict[str, Callable[[], Any]] = {"cpu": time.perf_counter_ns, "mps": _finished_ns, "cuda": _recorded_event}
"""Each kind of device marks a point in time so: in nanoseconds of the host, or by an event."""


def seconds(begin: Any, end: Any) -> float:
    """Return the time between two marks of one clock; events are read when the device has finished."""
    return float(end - begin) / 1e9 if isinstance(begin, int) else float(begin.elapsed_time(end)) / 1e3


def eager(work: Workload) -> Stopwatch:
    """Run a workload as a loop runs it."""
    return _watch(work, [phase for _, phase in work.phases], _before(work))


def queued(work: Workload) -> Stopwatch:
    """Take a GPU's own time: it sleeps for longer than the host takes to queue one run."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    work.run()
    host_s = time.perf_counter() - start
    torch.cuda.synchronize()
    before = _before(work)

    def asleep() -> None:
        before()
        rest(host_s)

    return _watch(work, [phase for _, phase in work.phases], asleep)


def rest(host_s: float) -> None:
    """Let a GPU sleep for half as long again as the host takes to queue what comes next."""
    torch.cuda._sleep(int(1.5 * host_s * 2e9))  # type: ignore[no-untyped-call]  # no clock is above 2 GHz by much


def graph(work: Workload) -> Stopwatch:
    """Replay a captured run on a GPU. Raises RuntimeError where the model cannot be captured."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work.run()
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        work.run()
    return _watch(work, [captured.replay], _before(work))


def _before(work: Workload) -> Callable[[], object]:
    """Return what precedes a run, untimed: nothing, or a write over every cache."""
    if work.setup.cache == "warm":
        return lambda: None
    return torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=work.setup.device).zero_


def _watch(work: Workload, phases: list[Callable[[], object]], before: Callable[[], object]) -> Stopwatch:
    """Return the stopwatch that marks the time around each phase, on the clock of the workload's device."""
    now = CLOCKS[work.setup.kind]

    def watch(times: int) -> list[tuple[float, ...]]:
        runs = []
        work.finish()
        with uncollected():
            for _ in range(times):
                before()
                marks = [now()]
                for phase in phases:
                    phase()
                    marks.append(now())
                runs.append(marks)
        work.finish()
        return [tuple(seconds(a, b) for a, b in pairwise(marks)) for marks in runs]

    return watch
