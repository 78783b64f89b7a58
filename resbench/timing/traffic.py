"""One run tells what every module computes and moves, forward and backward, and what it keeps in between.

Each operator reads its tensors once and writes its result once: the least that it can move. Views move nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from resbench.arch.kinds import Kind
from resbench.counters.watch import saved, watch
from resbench.operators.boundaries import Modules
from resbench.workers.workload import Workload


class Work(NamedTuple):
    """Work is multiply-accumulates, and bytes read and written."""

    macs: int = 0
    bytes: int = 0

    def plus(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.bytes + other.bytes)


@dataclass
class Traffic:
    """This books work by module number."""

    forward: defaultdict[int, Work]
    backward: defaultdict[int, Work]
    callers: set[int]
    """These modules call others."""
    uncounted: defaultdict[int, Counter[str]]
    """These operators have no formula for their MACs; their calls are counted."""
    kinds: defaultdict[int, set[Kind]]
    """Operators of these kinds ran in the forward pass."""

    @property
    def all_uncounted(self) -> Counter[str]:
        """Return those of the whole model."""
        return sum(self.uncounted.values(), Counter())


def traffic(work: Workload, modules: Modules) -> tuple[Traffic, Counter[int]]:
    """Run and book every operator on the module that is open; and the bytes that each keeps for backward."""
    watched = watch(work, modules)
    forward, backward = (_works(watched.books.get(phase, {})) for phase in ("forward", "backward"))
    return Traffic(forward, backward, watched.callers, watched.uncounted, watched.kinds), saved(work, modules)


def _works(books: dict[int, Counter[str]]) -> defaultdict[int, Work]:
    return defaultdict(
        Work, {number: Work(b["macs"], b["read_bytes"] + b["written_bytes"]) for number, b in books.items()}
    )
