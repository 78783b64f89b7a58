"""Processes of both sides, and of the base once more, take turns at every benchmark.

A round is one process a side. All three are made ready for a benchmark; then each in turn takes a sample of it while
the others sleep, 25 times over in alternating order, so that what is compared was measured within some hundredths of a
second; all on the same cores, drawn for each round. A round's figure is the median of the log ratios of samples taken
together, against one process of the base and against the other, and the mean of the two. The next round begins with
the reverse order: two rounds are a block (ABBA), and drift that is even over it cancels. The order of each block and
benchmark is drawn.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil, log
from statistics import median

from resbench.errors import GateError
from resbench.progress import Progress, Step, silent
from resbench.regression.process import Process, Side
from resbench.regression.samples import SAMPLES
from resbench.regression.suite import Suite
from resbench.regression.verdict import GateRules, Judgement, Pairs, judge
from resbench.regression.walsh import BLOCK, rank
from resbench.units import plural
from resbench.workers.environment import Environment

ARMS = ("base", "again", "head")

Times = dict[str, dict[str, list[float]]]
"""A round's times are seconds a call of each inner sample, by benchmark and arm."""


@dataclass
class Duel:
    """A duel holds its rounds so far, and the judgement of the last look at them."""

    rules: GateRules
    environment: Environment
    rounds: list[Times] = field(default_factory=list)
    judgement: Judgement | None = None
    seconds: float = 0.0

    def medians(self, name: str) -> dict[str, float]:
        """Return the seconds a call by arm: the median over the rounds."""
        return {arm: median(median(times[name][arm]) for times in self.rounds) for arm in ARMS}


def paired(rounds: Sequence[Times]) -> dict[str, Pairs]:
    """Compare, in every round, the head with the mean of both base processes, and these with each other."""

    def ratios(name: str, arm: str, other: str) -> list[float]:
        samples = (zip(times[name][arm], times[name][other], strict=True) for times in rounds)
        return [median(log(a / b) for a, b in sample) for sample in samples]

    pairs = {}
    for name in rounds[0] if rounds else ():
        both = zip(ratios(name, "head", "base"), ratios(name, "head", "again"), strict=True)
        pairs[name] = Pairs([(base + again) / 2 for base, again in both], ratios(name, "again", "base"))
    return pairs


def run_duel(
    duel: Duel,
    sides: Mapping[str, Side],
    suite: Suite,
    names: Sequence[str],
    budget_s: float,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run rounds until a look ends the run or the next block would not be done within the budget.

    ``duel`` keeps the rounds that are done if this is interrupted. Raises GateError where the budget is too short to
    say anything, or a side fails.
    """
    start, looks, least = clock(), duel.rules.looks, least_rounds(duel.rules, len(names))
    for n, order in enumerate(orders(names, random.Random()), 1):
        look = next((i for i, rounds in enumerate(looks) if n <= rounds), len(looks) - 1)
        step = Step(
            f"round {n} of {looks[0]}, at most {looks[-1]}",
            f"the counters and {plural(n - 1, 'round')}" if n > 1 else "the counters",
            f"look {look + 1} of {len(looks)}",
        )
        progress(step, max((n - 1) / looks[look], duel.seconds / budget_s))
        duel.rounds.append(one_round(sides, suite, order))
        duel.seconds = clock() - start
        block = n + 1 if n == 1 else n + 2  # rounds, when the one at hand or the next is done
        late = (n == 1 or n % 2 == 0) and duel.seconds * block / n > budget_s
        if late and n < least:
            raise GateError(
                f"{plural(n, 'round')} took {duel.seconds:.0f} s, and fewer than {least} say nothing: expected a "
                f"--time-budget of {ceil(1.1 * duel.seconds * least / n / 60) + 1}m or more, or a shorter suite"
            )
        if n in looks or late:
            duel.judgement = judge(paired(duel.rounds), duel.rules, late or n == looks[-1], duel.judgement)
            if duel.judgement.final:
                return


def least_rounds(rules: GateRules, benchmarks: int) -> int:
    """Return the least number of rounds that can reject any effect, however large."""
    level = rules.level / len(rules.looks) / benchmarks
    return next(n for n in range(BLOCK, rules.looks[0] + 1, BLOCK) if rank(n, level))


def orders(names: Sequence[str], draw: random.Random) -> Iterator[dict[str, list[str]]]:
    """Yield the order of the arms at each benchmark, round by round: it is drawn, then reversed."""
    while True:
        order = {name: draw.sample(ARMS, len(ARMS)) for name in names}
        yield order
        yield {name: arms[::-1] for name, arms in order.items()}


def one_round(sides: Mapping[str, Side], suite: Suite, order: Mapping[str, Sequence[str]]) -> Times:
    """Time every benchmark on every side, in fresh processes. Raises GateError."""
    cores = some_cores(suite.threads)
    with ExitStack() as stack:
        running = {arm: stack.enter_context(Process(sides[arm], suite, "time", list(order), cores)) for arm in ARMS}
        times: Times = {}
        for name, arms in order.items():
            for process in running.values():
                process.expect("ready", name)
            pieces = [running[arm].ask("planned", name)["pieces"] for arm in reversed(arms)]  # they warm up for it
            for process in running.values():
                process.ask("ready", name, as_many(pieces))
            for turn in range(SAMPLES):
                last = turn == SAMPLES - 1
                for arm in reversed(arms) if turn % 2 else arms:
                    message = running[arm].ask("timed" if last else "ready", name)
                    if last:
                        times.setdefault(name, {})[arm] = message["seconds"]
            for process in running.values():
                process.go()
        return times


def as_many(pieces: Sequence[tuple[int, int]]) -> str:
    """Return the runs a piece and the pieces a sample that all sides take: the largest that any of them would take.

    All must take as many, for the fastest of more pieces is faster.

    >>> as_many([(1, 5), (1, 7), (2, 6)])
    '2 7'
    """
    return " ".join(str(max(counts)) for counts in zip(*pieces, strict=True))


def some_cores(count: int) -> list[int] | None:
    """Draw as many cores; the answer is None where that is all of them, or the system cannot choose cores."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return random.sample(usable, count) if count < len(usable) else None
