"""The order of two networks may turn round from one runtime to another: this module finds where, by ratios in a turn.

Networks that one call timed took turns: in each turn the machine's speed was nearly the same for all. Of other networks
the intervals have to lie apart, which hold what that speed does from call to call.

>>> eager = {"a": Figure("a", "latency", 0.063, 0.001), "b": Figure("b", "latency", 0.091, 0.001)}
>>> onnx = {"a": Figure("a", "latency", 0.030, 0.001), "b": Figure("b", "latency", 0.025, 0.001)}
>>> print(*[line.partition(",")[0] for line in turned({"eager": eager, "onnxruntime": onnx})])
a is faster than b in eager (63.0 +- 1.0 against 91.0 +- 1.0 ms)
>>> [(one.start, one.end, round(one.share, 2)) for one in crossings({"eager": eager, "onnxruntime": onnx})]
[('eager', 'onnxruntime', 0.67)]
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from math import exp, log
from typing import NamedTuple

from resbench.result import Figure
from resbench.units import scale
from resbench.workers.medians import mean_and_half

SAME = "No two networks change places from runtime to runtime, as far as their intervals tell."

Side = tuple[str, Figure, Figure]
"""In this runtime the two networks took so long."""


class Turn(NamedTuple):
    """Two networks are certainly one way round in some runtimes, and certainly the other way in others."""

    a: str
    b: str
    faster: Sequence[Side]
    """There ``a`` is the faster one."""
    slower: Sequence[Side]

    @property
    def line(self) -> str:
        return f"{self.a} is faster than {self.b} in {_each(self.faster)}, and slower in {_each(self.slower)}."


class Crossing(NamedTuple):
    """The lines of two networks that change places cross here, between two runtimes that stand side by side."""

    turn: Turn
    start: str
    end: str
    share: float
    """They cross after this share of the way, where time is drawn logarithmically."""
    value: float
    """There they are so high, in seconds."""


def panels(figures: Iterable[Figure]) -> dict[str, dict[str, dict[str, Figure]]]:
    """Put latencies together that differ by runtime and network alone: by runtime, then by network.

    The key says what sets a panel apart from the others, such as ``batch 8``; it is empty for a single one.
    """
    found: dict[str, dict[str, dict[str, Figure]]] = {}
    for figure in figures:
        if figure.metric == "latency" and figure.runtime:
            found.setdefault(figure.shared, {}).setdefault(figure.runtime, {})[figure.model] = figure
    words = [re.split(r", |\. ", shared) for shared in found]
    own = [", ".join(word for word in one if not all(word in other for other in words)) for one in words]
    return dict(zip(own, found.values(), strict=True))


def turns(latencies: Mapping[str, Mapping[str, Figure]]) -> Iterator[Turn]:
    """Find each two networks that are one way round in a runtime and the other way in another.

    ``latencies`` are by runtime and network; only those are told apart that are so for certain.
    """
    for a, b in combinations(dict.fromkeys(name for same in latencies.values() for name in same), 2):
        sides = [(name, same[a], same[b]) for name, same in latencies.items() if a in same and b in same]
        faster = [side for side in sides if _below(side[1], side[2])]
        slower = [side for side in sides if _below(side[2], side[1])]
        if faster and slower:
            yield Turn(a, b, faster, slower)


def turned(latencies: Mapping[str, Mapping[str, Figure]]) -> Iterator[str]:
    """Say of each two networks that change places where each is the faster one."""
    return (turn.line for turn in turns(latencies))


def crossings(latencies: Mapping[str, Mapping[str, Figure]]) -> Iterator[Crossing]:
    """Find where the lines of networks that change places cross, from runtime to runtime in the order given.

    A line that is broken, for a runtime is not known of a network, crosses nothing there.
    """
    for turn in turns(latencies):
        certain = {name: True for name, *_ in turn.faster} | {name: False for name, *_ in turn.slower}
        names = [*latencies]
        for start, end in pairwise(name for name in names if name in certain):
            if certain[start] != certain[end]:
                between = names[names.index(start) : names.index(end) + 1]
                yield from _crossed(turn, latencies, between)


def _crossed(turn: Turn, latencies: Mapping[str, Mapping[str, Figure]], names: Sequence[str]) -> Iterator[Crossing]:
    """Find the first place where their lines cross between two runtimes in which their order is certain."""
    for start, end in pairwise(names):
        ends = [latencies[name].get(network) for name in (start, end) for network in (turn.a, turn.b)]
        if all(ends):
            a, b, a_end, b_end = (log(figure.value) for figure in ends if figure)
            if (a < b) != (a_end < b_end):
                share = (a - b) / ((a - b) - (a_end - b_end))
                value = latencies[start][turn.a].value ** (1 - share) * latencies[end][turn.a].value ** share
                yield Crossing(turn, start, end, share, value)
                return


def order_lines(latencies: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    """Say where orders turn round, or that none does, of several networks in several runtimes."""
    told = [same for same in latencies.values() if len(same) > 1]
    return [*turned(latencies)] or [SAME] if len(told) > 1 else []


def _below(one: Figure, other: Figure) -> bool:
    """Tell whether it certainly took less: by the ratio in a turn where both took turns, else by their intervals."""
    if not (one.sure and other.sure):
        return False
    if (share := ratio(one, other)) is not None:
        return share[2] < 1
    if one.spread is None or other.spread is None:
        return False
    return one.value + one.spread < other.value - other.spread


def ratio(one: Figure, other: Figure) -> tuple[float, float, float] | None:
    """Return the geometric mean of the ratios in each turn, and its 95 % interval; None where they took none together.

    >>> [round(x, 2) for x in ratio(*(Figure("", "latency", 0, turns=t, call=1) for t in ((1, 2.2, 4), (2, 4, 8.4))))]
    [0.51, 0.42, 0.61]
    """
    if not one.call or one.call != other.call or len(one.turns) != len(other.turns) or len(one.turns) < 2:
        return None
    mean, half = mean_and_half([log(a / b) for a, b in zip(one.turns, other.turns, strict=True)])
    return exp(mean), exp(mean - (half or 0)), exp(mean + (half or 0))


def _each(sides: Sequence[Side]) -> str:
    return ", ".join(_against(*side) for side in sides)


def _against(runtime: str, one: Figure, other: Figure) -> str:
    divisor, unit = scale([one.value, other.value], "seconds")
    if (share := ratio(one, other)) is not None:
        a, b = (f"{figure.value / divisor:.1f}" for figure in (one, other))
        return f"{runtime} ({a} against {b} {unit}, {share[0]:.2f} [{share[1]:.2f}, {share[2]:.2f}] in a turn)"
    a, b = (f"{f.value / divisor:.1f} +- {(f.spread or 0) / divisor:.1f}" for f in (one, other))
    return f"{runtime} ({a} against {b} {unit})"
