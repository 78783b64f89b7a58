"""The counter gate: what each benchmark does, on one side or on both, in processes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import chain, count
from typing import Any

from resbench.counters.counts import Counted
from resbench.errors import GateError
from resbench.regression.expectations import Counts
from resbench.regression.process import Process, Side
from resbench.regression.suite import Suite
from resbench.results import Progress, silent
from resbench.workers.cores import usable_cores

MOST = 4
"""Processes at a time. Each imports torch for itself, which takes as long as a few benchmarks."""


def counted(
    sides: Sequence[Side], suite: Suite, progress: Progress = silent, first: Sequence[str] = ()
) -> list[Counts]:
    """Of every benchmark of each side, all at the same time. Raises GateError, naming the side that fails.

    ``first``: those that take long, so that no process is left with one when the others are done.
    """
    each = max(1, min(MOST, usable_cores() or 1) // len(sides))
    with ThreadPoolExecutor(each * len(sides)) as pool, ExitStack() as stack:  # stopped first, so that no thread waits
        heard = []
        for side in sides:
            numbers = count()
            processes = [stack.enter_context(Process(side, suite, "count", first)) for _ in range(each)]
            heard.append([pool.submit(_heard, process, numbers, progress) for process in processes])
        done, _ = wait(chain.from_iterable(heard), return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()  # raises at once, while others still count
        everything = [[said for future in futures for said in future.result()] for futures in heard]
    return [_combined(side, said, suite) for side, said in zip(sides, everything, strict=True)]


def _heard(process: Process, numbers: Iterator[int], progress: Progress) -> list[dict[str, Any]]:
    """All that it says; where it asks for a benchmark, it gets the next that no process of this side has."""
    heard = []
    for said in process.everything():
        if said["said"] == "free":
            process.go(str(next(numbers)))
            continue
        if said["said"] == "counted":
            progress(f"counting: {process.side.name}, {said['name']}", 0.0)
        heard.append(said)
    return heard


def _combined(side: Side, heard: Iterable[dict[str, Any]], suite: Suite) -> Counts:
    torch = ""
    collected: list[str] = []
    certain: list[str] = []
    counts: list[str] = []
    asked: dict[str, None] = {}
    files: dict[str, str] = {}
    found: dict[str, Counted] = {}
    skipped: dict[str, str] = {}
    alone = True
    for said in heard:
        match said["said"]:
            case "collected":
                collected, files = said["names"], dict(zip(said["names"], said["files"], strict=True))
                certain = said.get("certain", collected)  # a side may bring a plugin of its own, an older one
            case "asked":
                asked[said["name"]] = None
            case "counted":
                counts.append(said["name"])
                found[said["name"]], torch = Counted(said["layers"]), said["torch"]
            case "skipped" if said["name"] not in found:
                skipped[said["name"]] = said["why"]
            case "imported":
                alone = False
    found = {name: found[name] for name in collected if name in found}
    twice = [name for name, often in (Counter(certain) | Counter(counts)).items() if often > 1]
    if twice:
        raise GateError(f"{side}: two benchmarks are called {twice[0]}; give each a name of its own")
    silent = [name for name in (*certain, *asked) if name not in found and name not in skipped]
    if silent:
        raise GateError(
            f"{side}: {silent[0]} takes the fixture `resbench` and does not call it; call it, or skip the test"
        )
    if not found:
        why = f"all are skipped ({next(iter(skipped.values()))})" if skipped else "none uses the fixture `resbench`"
        raise GateError(f"{side}: expected a benchmark in {', '.join(suite.files)}; {why}")
    return Counts(torch, found, skipped, files, alone)
