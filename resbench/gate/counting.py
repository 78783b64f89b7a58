"""The counter gate: what each benchmark does, on one side or on both, in a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from resbench.errors import GateError
from resbench.gate.expectations import Counts
from resbench.gate.process import Process, Side
from resbench.gate.suite import Suite
from resbench.measure.counted import Counted


def counted(sides: Sequence[Side], suite: Suite, progress: Callable[[str], object] = bool) -> list[Counts]:
    """Of every benchmark of each side, the sides at the same time. Raises GateError, naming the side that fails."""
    running = [Process(side, suite, "count") for side in sides]
    try:
        return [_listened(process, suite, progress) for process in running]
    finally:
        for process in running:
            process.stop()


def _listened(process: Process, suite: Suite, progress: Callable[[str], object]) -> Counts:
    found: dict[str, Counted] = {}
    skipped: dict[str, str] = {}
    torch = ""
    for said in process.everything():
        match said["said"]:
            case "collected":
                _check(process.side, said["names"])
            case "counted":
                found[said["name"]], torch = Counted(said["layers"]), said["torch"]
                progress(f"counting: {process.side.name}, {said['name']}")
            case "skipped":
                skipped[said["name"]] = said["why"]
    if not found:
        why = f"all are skipped ({next(iter(skipped.values()))})" if skipped else "none uses the fixture `resbench`"
        raise GateError(f"{process.side}: expected a benchmark in {', '.join(suite.files)}; {why}")
    return Counts(torch, found, skipped)


def _check(side: Side, names: Sequence[str]) -> None:
    twice = [name for name, often in Counter(names).items() if often > 1]
    if twice:
        raise GateError(f"{side}: two benchmarks are called {twice[0]}; give each a name of its own")
