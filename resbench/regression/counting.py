"""The counter gate counts what each benchmark of a side does, in processes of their own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import chain, count
from typing import Any

from resbench.counters.counts import Counted
from resbench.errors import GateError
from resbench.progress import Progress, Step, silent
from resbench.regression.expectations import SuiteCounts
from resbench.regression.process import Process, Side
from resbench.regression.suite import Suite
from resbench.workers.cores import usable_cores

MOST = 4
"""No more processes run at a time: each imports torch for itself, which takes as long as a few benchmarks."""


def counted(
    sides: Sequence[Side], suite: Suite, progress: Progress = silent, first: Sequence[str] = ()
) -> list[SuiteCounts]:
    """Return the counters of each side, all counted at the same time. Raises GateError, naming the side that fails.

    ``first``: the benchmarks that take long, so that no process is left with one when the others are done.
    """
    each = max(1, min(MOST, usable_cores() or 1) // len(sides))
    with ThreadPoolExecutor(each * len(sides)) as pool, ExitStack() as stack:  # stopped first, so that no thread waits
        by_side: list[list[Future[list[dict[str, Any]]]]] = []
        told = _Told(len(sides), progress)
        progress(Step("counting: starting the processes"), 0.0)
        for side in sides:
            numbers = count()
            processes = [stack.enter_context(Process(side, suite, "count", first)) for _ in range(each)]
            by_side.append([pool.submit(_messages, process, numbers, told) for process in processes])
        for future in as_completed(chain.from_iterable(by_side)):
            future.result()  # raises at once, while others still count
    messages = [chain.from_iterable(future.result() for future in futures) for futures in by_side]
    return [_combined(side, of_side, suite) for side, of_side in zip(sides, messages, strict=True)]


class _Told:
    """It tells how much of the counting is done, once every side has said what there is to count."""

    def __init__(self, sides: int, progress: Progress) -> None:
        self.sides, self.progress = sides, progress
        self.names: dict[str, int] = {}
        self.done = 0

    def __call__(self, side: str, message: dict[str, Any]) -> None:
        if message["said"] == "collected":
            self.names[side] = len(message["names"])
        if message["said"] == "counted":
            self.done += 1
            known = sum(self.names.values()) if len(self.names) == self.sides else 0
            share = self.done / known if known else 0.0
            self.progress(Step(f"counting: {side}, {message['name']}", part="counters"), min(share, 1.0))


def _messages(process: Process, numbers: Iterator[int], told: _Told) -> list[dict[str, Any]]:
    """Return a process's messages. When it asks for a benchmark, it gets the next that no process of its side has."""
    messages = []
    while not process.finished:
        message = process.hear()
        if message["said"] == "free":
            process.go(str(next(numbers)))
        told(process.side.name, message)
        messages.append(message)
    return messages


def _combined(side: Side, messages: Iterable[dict[str, Any]], suite: Suite) -> SuiteCounts:
    by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        by_kind[message["said"]].append(message)
    collected: dict[str, Any] = next(
        iter(by_kind["collected"]), {"names": [], "files": []}
    )  # all processes of a side say the same
    names = collected["names"]
    certain = collected.get("certain", names)  # a side may bring a plugin of its own, an older one
    by_name = {message["name"]: message for message in by_kind["counted"]}
    skipped = {message["name"]: message["why"] for message in by_kind["skipped"] if message["name"] not in by_name}
    for name, times in (Counter(certain) | Counter(message["name"] for message in by_kind["counted"])).items():
        if times > 1:
            raise GateError(f"{side}: two benchmarks are called {name}; give each a name of its own")
    for name in [*certain, *(message["name"] for message in by_kind["asked"])]:
        if name not in by_name and name not in skipped:
            raise GateError(
                f"{side}: {name} takes the fixture `resbench` and does not call it; call it, or skip the test"
            )
    found = {
        name: Counted(by_name[name]["layers"], by_name[name].get("runtime", "")) for name in names if name in by_name
    }
    if not found:
        why = (
            f"all are skipped ({next(iter(skipped.values()))})"
            if skipped
            else "none uses the fixture `resbench`, or `benchmark`"
        )
        raise GateError(f"{side}: expected a benchmark in {', '.join(suite.files)}; {why}")
    return SuiteCounts(
        torch=by_kind["counted"][-1]["torch"],
        benchmarks=found,
        skipped=skipped,
        files=dict(zip(names, collected["files"], strict=True)),
        alone=not by_kind["imported"],
    )
