"""The order of two networks may turn round from one runtime to another: this module finds where, by their intervals.

>>> eager = {"a": Figure("a", "latency", 0.063, 0.001), "b": Figure("b", "latency", 0.091, 0.001)}
>>> onnx = {"a": Figure("a", "latency", 0.030, 0.001), "b": Figure("b", "latency", 0.025, 0.001)}
>>> print(*[line.partition(",")[0] for line in turned({"eager": eager, "onnxruntime": onnx})])
a is faster than b in eager (63.0 +- 1.0 against 91.0 +- 1.0 ms)
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from resbench.result import Figure
from resbench.units import scale

SAME = "No two networks change places from runtime to runtime, as far as their intervals tell."

Side = tuple[str, Figure, Figure]
"""In this runtime the two networks took so long."""


def turned(latencies: Mapping[str, Mapping[str, Figure]]) -> Iterator[str]:
    """Say of each two networks that are one way round in a runtime and the other way in another.

    ``latencies`` are by runtime and network; only those are told apart whose intervals lie apart.
    """
    for a, b in combinations(dict.fromkeys(name for same in latencies.values() for name in same), 2):
        sides = [(name, same[a], same[b]) for name, same in latencies.items() if a in same and b in same]
        faster = [side for side in sides if _below(side[1], side[2])]
        slower = [side for side in sides if _below(side[2], side[1])]
        if faster and slower:
            yield f"{a} is faster than {b} in {_each(faster)}, and slower in {_each(slower)}."


def order_lines(latencies: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    """Say where orders turn round, or that none does, of several networks in several runtimes."""
    told = [same for same in latencies.values() if len(same) > 1]
    return [*turned(latencies)] or [SAME] if len(told) > 1 else []


def _below(one: Figure, other: Figure) -> bool:
    """Tell whether its whole interval lies below the other's; without intervals nothing is told."""
    if one.spread is None or other.spread is None or not (one.sure and other.sure):
        return False
    return one.value + one.spread < other.value - other.spread


def _each(sides: Sequence[Side]) -> str:
    return ", ".join(_against(*side) for side in sides)


def _against(runtime: str, one: Figure, other: Figure) -> str:
    divisor, unit = scale([one.value, other.value], "seconds")
    a, b = (f"{f.value / divisor:.1f} +- {(f.spread or 0) / divisor:.1f}" for f in (one, other))
    return f"{runtime} ({a} against {b} {unit})"
