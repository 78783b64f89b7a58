"""What a look says of each benchmark, and of the run.

REGRESSED      slower by more than the margin, at the level of the run
IMPROVED       faster by more than the margin, likewise
PASS           neither, while an effect of the target would have been seen, and the interval ends below the target
INCONCLUSIVE   none of these, and no look is left
INVALID        the base measured twice differs from itself: nothing this run says can be trusted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import expm1
from typing import Literal

import numpy

from resbench.regression.walsh import BLOCK, Floats, estimate, holm, slower

Verdict = Literal["INVALID", "REGRESSED", "UNDECIDED", "INCONCLUSIVE", "IMPROVED", "PASS"]
PRECEDENCE: tuple[Verdict, ...] = ("REGRESSED", "UNDECIDED", "INCONCLUSIVE", "IMPROVED", "PASS")


@dataclass(frozen=True)
class Rules:
    """What is asked of a run, before it begins. Effects are shares: 0.01 is 1 % more time."""

    margin: float = 0.01
    target: float = 0.05
    level: float = 0.01
    looks: tuple[int, ...] = (16, 32)
    margins: Mapping[str, float] = field(default_factory=dict)

    def margin_of(self, name: str) -> float:
        """The benchmark's own margin, if it has one."""
        return self.margins.get(name, self.margin)


@dataclass(frozen=True)
class Pairs:
    """One benchmark: log(head / base), of both its processes, and log(base again / base), round by round."""

    head: Sequence[float]
    again: Sequence[float]


@dataclass(frozen=True)
class Judged:
    """One benchmark after n rounds. ``slower`` and ``faster`` are p values adjusted for benchmarks and looks."""

    verdict: Verdict
    n: int
    effect: float
    low: float
    high: float
    detectable: float
    slower: float
    faster: float


@dataclass(frozen=True)
class Judgement:
    """The benchmarks by name, those whose base differs from itself, and whether the run is over."""

    benchmarks: Mapping[str, Judged]
    invalid: tuple[str, ...]
    final: bool

    @property
    def verdict(self) -> Verdict:
        """Of the run: the worst of its benchmarks."""
        found = {judged.verdict for judged in self.benchmarks.values()}
        return "INVALID" if self.invalid else next(verdict for verdict in PRECEDENCE if verdict in found)


def judge(pairs: Mapping[str, Pairs], rules: Rules, last: bool, before: Judgement | None = None) -> Judgement:
    """One look, after the look ``before``: both arms tested in both directions, the head estimated as well.

    The run is over at its last look, and before it if nothing is undecided, anything is slower, or the base differs
    from itself. A block that is not complete is left out: the reversed order that balances it is missing.
    """
    n = min(len(pair.head) for pair in pairs.values()) // BLOCK * BLOCK
    head = numpy.array([pair.head[:n] for pair in pairs.values()])
    again = numpy.array([pair.again[:n] for pair in pairs.values()])
    margins = numpy.log1p([rules.margin_of(name) for name in pairs])
    up, down, *apart = (adjusted(d, margins, rules) for d in (head, -head, again, -again))
    invalid = tuple(name for name, *p in zip(pairs, *apart, strict=True) if min(p) <= rules.level)
    strictest = rules.level / len(rules.looks) / len(pairs)

    benchmarks = {}
    for i, name in enumerate(pairs):
        effect, low, high, detectable = map(expm1, estimate(head[i], margins[i], strictest))
        one = Judged("UNDECIDED", n, effect, low, high, detectable, float(up[i]), float(down[i]))
        if before:
            earlier = before.benchmarks[name]
            one = replace(one, slower=min(one.slower, earlier.slower), faster=min(one.faster, earlier.faster))
        benchmarks[name] = replace(one, verdict=said(one, rules))

    found = {one.verdict for one in benchmarks.values()}
    final = last or bool(invalid) or "REGRESSED" in found or "UNDECIDED" not in found
    if final:
        for name, one in benchmarks.items():
            if one.verdict == "UNDECIDED":
                benchmarks[name] = replace(one, verdict="INCONCLUSIVE")
    return Judgement(benchmarks, invalid, final)


def adjusted(d: Floats, margins: Floats, rules: Rules) -> Floats:
    """p of each row, Holm over the rows, times the number of looks: they share the level evenly."""
    return numpy.minimum(1, holm(slower(d, margins[:, None])) * len(rules.looks))


def said(one: Judged, rules: Rules) -> Verdict:
    """Of one benchmark, were there a look to come. What a look rejected stays so: the p are the least so far."""
    if one.slower <= rules.level:
        return "REGRESSED"
    if one.faster <= rules.level:
        return "IMPROVED"
    return "PASS" if one.detectable <= rules.target and one.high < rules.target else "UNDECIDED"


def replay(pairs: Mapping[str, Pairs], rules: Rules) -> Judgement:
    """The looks of a whole run in order, up to the one that ends it; the last at its end, were it short of rounds."""
    rounds = min(min(len(pair.head) for pair in pairs.values()), rules.looks[-1])
    judgement = None
    for n in (*(look for look in rules.looks if look < rounds), rounds):
        seen = {name: Pairs(pair.head[:n], pair.again[:n]) for name, pair in pairs.items()}
        judgement = judge(seen, rules, last=n == rounds, before=judgement)
        if judgement.final:
            break
    assert judgement is not None  # the last look is always made
    return judgement
