"""The counter gate: what each benchmark does, on one side or on both, in processes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain

from resbench.errors import GateError
from resbench.gate.expectations import Counts
from resbench.gate.process import Process, Side
from resbench.gate.suite import Suite
from resbench.measure.cores import usable_cores
from resbench.measure.counted import Counted

MOST = 4
"""Processes of a side. Each imports torch for itself, which takes as long as a few benchmarks."""


def counted(sides: Sequence[Side], suite: Suite, progress: Callable[[str], object] = bool) -> list[Counts]:
    """Of every benchmark of each side, all at the same time. Raises GateError, naming the side that fails."""
    shares = min(MOST, max(1, (usable_cores() or 1) // len(sides)))
    with ExitStack() as stack:
        running = [
            [stack.enter_context(Process(side, suite, "count", share=(number, shares))) for number in range(shares)]
            for side in sides
        ]
        return [_listened(side, processes, suite, progress) for side, processes in zip(sides, running, strict=True)]


def _listened(side: Side, processes: Sequence[Process], suite: Suite, progress: Callable[[str], object]) -> Counts:
    torch = ""
    collected: list[str] = []
    found: dict[str, Counted] = {}
    skipped: dict[str, str] = {}
    for said in chain.from_iterable(process.everything() for process in processes):
        match said["said"]:
            case "collected":
                collected = said["names"]
            case "counted":
                found[said["name"]], torch = Counted(said["layers"]), said["torch"]
                progress(f"counting: {side.name}, {said['name']}")
            case "skipped" if said["name"] not in found:
                skipped[said["name"]] = said["why"]
    found = {name: found[name] for name in collected if name in found}
    twice = [name for name, often in Counter(collected).items() if often > 1]
    if twice:
        raise GateError(f"{side}: two benchmarks are called {twice[0]}; give each a name of its own")
    silent = [name for name in collected if name not in found and name not in skipped]
    if silent:
        raise GateError(
            f"{side}: {silent[0]} takes the fixture `resbench` and does not call it; call it, or skip the test"
        )
    if not found:
        why = f"all are skipped ({next(iter(skipped.values()))})" if skipped else "none uses the fixture `resbench`"
        raise GateError(f"{side}: expected a benchmark in {', '.join(suite.files)}; {why}")
    return Counts(torch, found, skipped)
