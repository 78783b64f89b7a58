"""Wall time as a duel: fresh processes of both sides, and of the base once more, take turns at every benchmark.

A round is one process a side. All three are made ready for a benchmark; then each in turn takes a sample of it while
the others sleep, 25 times over in alternating order, so that what is compared was measured within some hundredths of a
second; all on the same cores, drawn for each round. A round's figure is the median of the log ratios of samples taken
together, against one process of the base and against the other, and the mean of the two. The next round begins with
the reverse order: two rounds are a block (ABBA), and drift that is even over it cancels. The order of each block and
benchmark is drawn.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil, log
from statistics import median

from resbench.errors import GateError
from resbench.regression.process import Process, Side
from resbench.regression.samples import SAMPLES
from resbench.regression.suite import Suite
from resbench.regression.verdict import Judgement, Pairs, Rules, judge
from resbench.regression.walsh import BLOCK, rank
from resbench.results import Progress, silent
from resbench.workers.environment import Environment

ARMS = ("base", "again", "head")

Times = dict[str, dict[str, list[float]]]
"""Of a round: seconds a call of each inner sample, by benchmark and arm."""


@dataclass
class Duel:
    """The rounds so far, and what was said of them."""

    rules: Rules
    environment: Environment
    rounds: list[Times] = field(default_factory=list)
    judgement: Judgement | None = None
    seconds: float = 0.0

    def pairs(self) -> dict[str, Pairs]:
        """Log ratios by benchmark."""
        return paired(self.rounds)

    def medians(self, name: str) -> dict[str, float]:
        """Seconds a call by arm: the median over the rounds."""
        return {arm: median(median(times[name][arm]) for times in self.rounds) for arm in ARMS}


def paired(rounds: Sequence[Times]) -> dict[str, Pairs]:
    """Of every round, the head against the mean of both base processes, and these against each other."""

    def ratio(times: Mapping[str, list[float]], arm: str, other: str) -> float:
        return median(log(a / b) for a, b in zip(times[arm], times[other], strict=True))

    def pairs(name: str) -> Pairs:
        found = [times[name] for times in rounds]
        head = [(ratio(times, "head", "base") + ratio(times, "head", "again")) / 2 for times in found]
        return Pairs(head, [ratio(times, "again", "base") for times in found])

    return {name: pairs(name) for name in (rounds[0] if rounds else ())}


def fight(
    duel: Duel,
    sides: Mapping[str, Side],
    suite: Suite,
    names: Sequence[str],
    budget_s: float,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Rounds until a look ends the run or the next block would not be done within the budget.

    What is done stays in ``duel`` if this is interrupted. Raises GateError where the budget is too short to say
    anything, or a side fails.
    """
    start, looks, least = clock(), duel.rules.looks, least_rounds(duel.rules, len(names))
    for number, order in enumerate(orders(names, random.Random())):
        progress(f"round {number + 1} of {looks[0]}, at most {looks[-1]}", number / looks[-1])
        duel.rounds.append(one_round(sides, suite, order))
        duel.seconds = clock() - start
        n = number + 1
        block = n + 1 if n == 1 else n + 2  # rounds, when the one at hand or the next is done
        late = (n == 1 or n % 2 == 0) and duel.seconds * block / n > budget_s
        if late and n < least:
            wanted = ceil(1.1 * duel.seconds * least / n / 60)
            raise GateError(
                f"{n} round{'s' * (n > 1)} took {duel.seconds:.0f} s, and fewer than {least} say nothing: "
                f"expected a --time-budget of {wanted + 1}m or more, or a shorter suite"
            )
        if n in looks or late:
            duel.judgement = judge(duel.pairs(), duel.rules, late or n == looks[-1], duel.judgement)
            if duel.judgement.final:
                return


def least_rounds(rules: Rules, benchmarks: int) -> int:
    """Of fewer not even the largest effect could be rejected."""
    level = rules.level / len(rules.looks) / benchmarks
    return next(n for n in range(BLOCK, rules.looks[0] + 1, BLOCK) if rank(n, level))


def orders(names: Sequence[str], draw: random.Random) -> Iterator[dict[str, list[str]]]:
    """The arms' order at each benchmark, round by round: drawn, then reversed."""
    while True:
        order = {name: draw.sample(ARMS, len(ARMS)) for name in names}
        yield order
        yield {name: arms[::-1] for name, arms in order.items()}


def one_round(sides: Mapping[str, Side], suite: Suite, order: Mapping[str, Sequence[str]]) -> Times:
    """Every benchmark on every side, in fresh processes. Raises GateError."""
    cores = some_cores(suite.threads)
    with ExitStack() as stack:
        running = {arm: stack.enter_context(Process(sides[arm], suite, "time", list(order), cores)) for arm in ARMS}
        times: Times = {}
        for name, arms in order.items():
            for process in running.values():
                process.expect("ready", name)
            pieces = []
            for arm in reversed(arms):  # for warming up
                running[arm].go()
                pieces.append(running[arm].expect("planned", name)["pieces"])
            for process in running.values():
                process.go(as_many(pieces))
                process.expect("ready", name)
            for turn in range(SAMPLES):
                last = turn == SAMPLES - 1
                for arm in reversed(arms) if turn % 2 else arms:
                    running[arm].go()
                    said = running[arm].expect("timed" if last else "ready", name)
                    if last:
                        times.setdefault(name, {})[arm] = said["seconds"]
            for process in running.values():
                process.go()
        return times


def as_many(pieces: Sequence[tuple[int, int]]) -> str:
    """Runs a piece and pieces a sample for all sides, of what each would take: the fastest of more pieces is faster.

    >>> as_many([(1, 5), (1, 7), (2, 6)])
    '2 7'
    """
    return " ".join(str(max(counts)) for counts in zip(*pieces, strict=True))


def some_cores(count: int) -> list[int] | None:
    """As many cores, drawn; None where that is all of them, or the system has no say in it."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    return random.sample(usable, count) if count < len(usable) else None
