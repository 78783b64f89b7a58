"""The order of two networks may turn round from one runtime to another: this module finds where, by their intervals."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from resbench.timing.latency.result import Latency
from resbench.units import scale


class Reversal(NamedTuple):
    """The first network is the faster one in some runtimes, and the second in others: each with both latencies."""

    faster: tuple[tuple[Latency, Latency], ...]
    slower: tuple[tuple[Latency, Latency], ...]

    @property
    def line(self) -> str:
        """Say it in a sentence, with every figure."""
        one, other = self.faster[0]
        batch = f" at batch {one.setup.batch}" if one.setup.batch != 1 else ""
        return (
            f"{one.model} is faster than {other.model} in {_cells(self.faster)}, and slower in "
            f"{_cells(self.slower)}{batch}."
        )


def is_faster(one: Latency, other: Latency) -> bool:
    """Tell whether its whole interval lies below the other's; without intervals nothing is told."""
    if one.half_width_s is None or other.half_width_s is None or "invalid" in (one.verdict, other.verdict):
        return False
    return one.median_s + one.half_width_s < other.median_s - other.half_width_s


def reversals(latencies: Sequence[Latency]) -> Iterator[Reversal]:
    """Yield the pairs of networks that are one way round in a runtime, and the other way in another, batch by batch."""
    for batch in dict.fromkeys(one.setup.batch for one in latencies):
        rows = [one for one in latencies if one.setup.batch == batch]
        for a, b in combinations(dict.fromkeys(one.model for one in rows), 2):
            pairs = [
                (one, other)
                for one in rows
                for other in rows
                if (one.model, other.model) == (a, b) and one.setup == other.setup
            ]
            faster = tuple(pair for pair in pairs if is_faster(*pair))
            slower = tuple(pair for pair in pairs if is_faster(*pair[::-1]))
            if faster and slower:
                yield Reversal(faster, slower)


def order_lines(latencies: Sequence[Latency]) -> list[str]:
    """Say where orders turn round, or that none does, of several networks in several runtimes."""
    models, runtimes = {one.model for one in latencies}, {one.setup.runtime for one in latencies}
    if len(models) < 2 or len(runtimes) < 2:
        return []
    found = [one.line for one in reversals(latencies)]
    return found or ["No two networks change places from runtime to runtime, as far as their intervals tell."]


def _cells(pairs: Sequence[tuple[Latency, Latency]]) -> str:
    divisor, unit = scale([one.median_s for pair in pairs for one in pair], "seconds")

    def text(one: Latency) -> str:
        return f"{one.median_s / divisor:.1f} +- {(one.half_width_s or 0) / divisor:.1f}"

    return ", ".join(f"{one.setup.runtime} ({text(one)} against {text(other)} {unit})" for one, other in pairs)
