"""A look at the rounds gives a verdict on each benchmark, and on the run.

REGRESSED      slower by more than the margin, at the level of the run
IMPROVED       faster by more than the margin, likewise
PASS           neither, while an effect of the target would have been seen, and the interval ends below the target
INCONCLUSIVE   none of these, and no look is left
INVALID        the base measured twice differs from itself: nothing this run says can be trusted
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import expm1
from typing import Literal

import numpy

from resbench.regression.walsh import BLOCK, estimate, holm, slower

GateVerdict = Literal["INVALID", "REGRESSED", "UNDECIDED", "INCONCLUSIVE", "IMPROVED", "PASS"]
PRECEDENCE: tuple[GateVerdict, ...] = ("REGRESSED", "UNDECIDED", "INCONCLUSIVE", "IMPROVED", "PASS")


@dataclass(frozen=True)
class GateRules:
    """The rules of a run are fixed before it begins. Effects are shares: 0.01 is 1 % more time.

    ``margins`` holds those of benchmarks that have one of their own.
    """

    margin: float = 0.01
    target: float = 0.05
    level: float = 0.01
    looks: tuple[int, ...] = (16, 32)
    margins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """A benchmark has, in each round, log(head / base), of both base processes, and log(base again / base)."""

    head: Sequence[float]
    again: Sequence[float]


@dataclass(frozen=True)
class Judged:
    """A benchmark is judged after n rounds. ``slower`` and ``faster`` are p adjusted for benchmarks and looks."""

    verdict: GateVerdict
    n: int
    effect: float
    low: float
    high: float
    detectable: float
    slower: float
    faster: float


@dataclass(frozen=True)
class Judgement:
    """A judgement holds the benchmarks by name, those whose base differs from itself, and whether the run is over."""

    benchmarks: Mapping[str, Judged]
    invalid: tuple[str, ...]
    final: bool

    @property
    def verdict(self) -> GateVerdict:
        """Return the verdict on the run, which is the worst of its benchmarks."""
        found = {judged.verdict for judged in self.benchmarks.values()}
        return "INVALID" if self.invalid else next(verdict for verdict in PRECEDENCE if verdict in found)


def judge(pairs: Mapping[str, Pairs], rules: GateRules, last: bool, before: Judgement | None = None) -> Judgement:
    """Look once, after the look ``before``: test both arms in both directions, and estimate the head's effect.

    The run is over at its last look, and before it if nothing is undecided, anything is slower, or the base differs
    from itself. A block that is not complete is left out: the reversed order that balances it is missing.
    """
    n = min(len(pair.head) for pair in pairs.values()) // BLOCK * BLOCK
    head = numpy.array([pair.head[:n] for pair in pairs.values()])
    again = numpy.array([pair.again[:n] for pair in pairs.values()])
    margins = numpy.log1p([rules.margins.get(name, rules.margin) for name in pairs])
    looks = len(rules.looks)  # they share the level evenly
    up, down, *apart = (
        numpy.minimum(1, holm(slower(d, margins[:, None])) * looks) for d in (head, -head, again, -again)
    )
    invalid = tuple(name for name, *p in zip(pairs, *apart, strict=True) if min(p) <= rules.level)

    benchmarks = {}
    for i, name in enumerate(pairs):
        effect, low, high, detectable = map(expm1, estimate(head[i], margins[i], rules.level / looks / len(pairs)))
        judged = Judged("UNDECIDED", n, effect, low, high, detectable, float(up[i]), float(down[i]))
        if before:
            earlier = before.benchmarks[name]
            judged = replace(
                judged, slower=min(judged.slower, earlier.slower), faster=min(judged.faster, earlier.faster)
            )
        benchmarks[name] = replace(judged, verdict=verdict_on(judged, rules))

    found = {judged.verdict for judged in benchmarks.values()}
    final = last or bool(invalid) or "REGRESSED" in found or "UNDECIDED" not in found
    if final:
        for name, judged in benchmarks.items():
            if judged.verdict == "UNDECIDED":
                benchmarks[name] = replace(judged, verdict="INCONCLUSIVE")
    return Judgement(benchmarks, invalid, final)


def verdict_on(judged: Judged, rules: GateRules) -> GateVerdict:
    """Return the verdict on a benchmark if another look follows.

    What a look rejected stays rejected, for the p values are the least so far.
    """
    if judged.slower <= rules.level:
        return "REGRESSED"
    if judged.faster <= rules.level:
        return "IMPROVED"
    return "PASS" if judged.detectable <= rules.target and judged.high < rules.target else "UNDECIDED"


def replay(pairs: Mapping[str, Pairs], rules: GateRules) -> Judgement:
    """Make the looks of a whole run in order, up to the one that ends it; the last is at the end of a short run."""
    rounds = min(min(len(pair.head) for pair in pairs.values()), rules.looks[-1])
    judgement = None
    for n in (*(look for look in rules.looks if look < rounds), rounds):
        seen = {name: Pairs(pair.head[:n], pair.again[:n]) for name, pair in pairs.items()}
        judgement = judge(seen, rules, last=n == rounds, before=judgement)
        if judgement.final:
            return judgement
    raise AssertionError("the last look is final")
