"""This module holds what `latency --memory` finds: what a run holds, predicted and measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from resbench.result import Figure, Result
from resbench.tables.table import Table
from resbench.timing.ran import Ran, setup_words
from resbench.workers.environment import Environment
from resbench.workers.workload import Setup


class Memory(NamedTuple):
    """These are the bytes of one run, by what they hold; None does not apply, or cannot be known."""

    weights: int
    buffers: int | None
    input: int
    gradients: int
    optimizer: int
    saved: int | None
    """The forward pass keeps so many for the backward pass."""
    peak: int | None
    uncounted: Mapping[str, int] | None = None
    """A prediction names here the operators whose work is in no row, with their calls."""
    unknown: tuple[str, ...] = ()
    """A prediction names here the rows of no known kind, of which nobody knows what they keep."""


class Held(NamedTuple):
    """One network holds this."""

    model: str
    predicted: Memory
    measured: Memory
    ran: Ran | None = None
    """This says what really ran; it is None where an earlier version measured."""


@dataclass(frozen=True, repr=False)
class Memories(Result):
    """This says what networks hold in one setup."""

    reports: tuple[Held, ...]
    setup: Setup
    environment: Environment

    kind: ClassVar = "latency --memory"
    members: ClassVar = "reports"
    heading: ClassVar = ("memory", "Memory", "Predicted from the costs, and measured.")

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**document, "reports": document["models"]}

    def tables(self) -> list[Table]:
        from resbench.timing.memory.table import memory_table

        return [memory_table(self)]

    def figures(self) -> Iterator[Figure]:
        for one in self.reports:
            if one.measured.peak is not None:
                place = f"{setup_words(self.setup, one.ran)}, batch {self.setup.batch}. {self.environment.note}"
                yield Figure(one.model, "memory", one.measured.peak, None, place)

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        return {one.model: one.predicted.uncounted or {} for one in self.reports}
