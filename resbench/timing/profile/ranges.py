"""The ranges that a program names itself, ``torch.profiler.record_function("mine")``, become rows.

A range is the program's unless torch opened it: torch marks its own steps, optimisers, loaders and compilation with the
same function. The stack in the trace says who called it. Compiled code has no ranges, for torch leaves them out of it;
and in threads that the program starts torch's profiler records nothing.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from resbench.timing.profile.module_calls import Rows

STEP = "ProfilerStep#"
TORCH = ("torch/", f"{Path(torch.__file__).parent}/")
"""A trace begins the name of a frame in torch's own code so: torch cuts off what ``sys.path`` holds."""

OPENS = ("torch/autograd/profiler.py", ": __enter__")
"""The frame that opens a range begins and ends so; the frame around it says whose range it is."""

LAUNCHES = ("cuda_runtime", "cuda_driver")
"""torch's profiler calls a call of the CUDA runtime so."""

ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")


@dataclass
class _Range:
    """These are the sums of one name, in microseconds."""

    calls: int = 0
    total: float = 0.0
    own: float = 0.0
    device: float = 0.0


@dataclass
class _Work:
    """This is a range or an operator that is open."""

    name: str | None
    """The program's ranges alone have one."""
    end: float
    own: float
    """What is inside it does not count here."""


@dataclass
class _Thread:
    """This holds what is open in a thread while its events pass by in time."""

    frames: list[tuple[str, float]] = field(default_factory=list)
    work: list[_Work] = field(default_factory=list)
    until: dict[str, float] = field(default_factory=dict)
    """The ranges of each name are counted until then: one inside another of its name adds nothing."""


def ranges(events: Rows) -> Rows:
    """Make a row for each name, the longest first.

    ``host_total_s``: how long a range of that name was open. ``host_self_s``: what of it no operator and no inner range
    took, which is Python's. ``device_total_s``: of the kernels and copies that its thread launched meanwhile; None
    where nothing ran on a device.
    """
    timed = [event for event in events if event.get("ph") == "X" and "dur" in event]
    device: defaultdict[Any, float] = defaultdict(float)
    for event in timed:
        if event.get("cat") in ON_DEVICE:
            device[event["args"].get("correlation")] += event["dur"]
    found: defaultdict[str, _Range] = defaultdict(_Range)
    threads: defaultdict[Any, _Thread] = defaultdict(_Thread)
    for event in sorted(timed, key=lambda event: (event["ts"], -event["dur"])):
        _pass(event, threads[event.get("pid"), event.get("tid")], device, found)
    for thread in threads.values():
        _close(thread, float("inf"), found)
    return [
        {
            "name": name,
            "calls": sums.calls,
            "host_self_s": sums.own / 1e6,
            "host_total_s": sums.total / 1e6,
            "device_total_s": sums.device / 1e6 if device else None,
        }
        for name, sums in sorted(found.items(), key=lambda item: -item[1].total)
    ]


def _pass(event: dict[str, Any], thread: _Thread, device: dict[Any, float], found: dict[str, _Range]) -> None:
    """Book one event of a thread, after those that began before it."""
    start, end, kind = event["ts"], event["ts"] + event["dur"], event.get("cat")
    _close(thread, start, found)
    if kind == "python_function":
        thread.frames.append((event["name"], end))
    elif kind in LAUNCHES:
        for name in {work.name for work in thread.work if work.name and work.end > start}:
            found[name].device += device.get(event["args"].get("correlation"), 0.0)
    elif kind in ("cpu_op", "user_annotation"):
        own = event["name"] if kind == "user_annotation" and _is_the_programs(event["name"], thread) else None
        if thread.work:
            thread.work[-1].own -= max(0.0, min(end, thread.work[-1].end) - start)
        if own is not None:
            found[own].calls += 1
            found[own].total += max(0.0, end - max(start, thread.until.get(own, start)))
            thread.until[own] = max(end, thread.until.get(own, end))
        thread.work.append(_Work(own, end, event["dur"]))


def _close(thread: _Thread, now: float, found: dict[str, _Range]) -> None:
    """Close what has ended by now."""
    while thread.frames and thread.frames[-1][1] <= now:
        thread.frames.pop()
    while thread.work and thread.work[-1].end <= now:
        done = thread.work.pop()
        if done.name is not None:
            found[done.name].own += done.own


def _is_the_programs(name: str, thread: _Thread) -> bool:
    """Tell whether the program opened this range, and not torch; where a trace has no stacks, it did."""
    if name.startswith(STEP):
        return False
    frames = [frame for frame, _ in thread.frames]
    opens = [at for at, frame in enumerate(frames) if frame.startswith(OPENS[0]) and frame.endswith(OPENS[1])]
    if not opens:
        return not frames  # with stacks, but without that frame: torch's code in C++ opened it
    return opens[-1] == 0 or not frames[opens[-1] - 1].startswith(TORCH)
