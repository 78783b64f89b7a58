"""This module holds what `sweep` finds: how many rows, where they lie, and how their figures are spread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from resbench.result import Result
from resbench.sweeps.questions import COST
from resbench.tables.table import Column, Table
from resbench.units import plural

if TYPE_CHECKING:
    from resbench.sweeps.draws import Drawn

ENDS = ("least", "a quarter below", "median", "a quarter above", "most")
"""The rows of the table of spreads."""

SPREAD = (Column("figure", "figure"), *(Column(word.replace(" ", "_"), word, "number") for word in ENDS))

PLANNED = (
    Column("space", "space"),
    Column("networks", "networks", "exact"),
    Column("cells", "cells", "exact"),
    Column("size", "combinations", "exact"),
    Column("seconds", "CPU time", "seconds"),
    Column("bytes", "disk", "bytes"),
)


class Spread(NamedTuple):
    """A figure is spread so over the networks: quartiles and ends."""

    figure: str
    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float


class Failed(NamedTuple):
    """So many networks have no figures, and this is why the first has none."""

    networks: int = 0
    reason: str = ""

    def counted(self, drawn: "Sequence[Drawn]") -> "Failed":
        """Count those of the networks that have no figures."""
        reasons = [f"{one.name}: {one.found}" for one in drawn if isinstance(one.found, str)]
        return Failed(self.networks + len(reasons), self.reason or next(iter(reasons), ""))

    def of(self, networks: int) -> str:
        """Say how many of so many they are."""
        return f"{self.networks:,} of {networks:,} networks have no figures, the first one thus: {self.reason}"


NONE_FAILED = Failed()


class Asked(NamedTuple):
    """A question was asked of so many cells."""

    question: str
    cells: int
    earlier: int
    """So many of them had a row already."""
    done: int = 0
    failed: int = 0
    reason: str = ""
    """The last one failed for this."""

    def counted(self, failed: str) -> "Asked":
        """Count one more that is done, and failed for this reason or, where that is empty, did not."""
        if not failed:
            return self._replace(done=self.done + 1)
        return self._replace(done=self.done + 1, failed=self.failed + 1, reason=failed)

    @property
    def line(self) -> str:
        """Say how many cells there are, and how many of those that were asked now have failed."""
        earlier = f", {self.earlier:,} of them from earlier" if self.earlier else ""
        known = self.earlier + self.done
        return f"{self.question}: {f'{known:,} of ' if known < self.cells else ''}{plural(self.cells, 'cell')}{earlier}"


@dataclass(frozen=True, repr=False)
class Sweep(Result):
    """A sweep has drawn networks of a space; a row of each lies in its folder."""

    space: str
    folder: str
    seed: int
    limits: tuple[str, ...]
    merged: int
    """So many rows were taken from other folders."""
    asked: int
    """So many were asked for; 0: all there are."""
    networks: int
    """So many were found now: fewer than were asked for where the space has no others."""
    earlier: int
    """So many of them were there already."""
    rows: int
    """The folder holds so many rows now."""
    seconds: float
    spreads: tuple[Spread, ...]
    interrupted: bool = False
    questions: tuple[Asked, ...] = ()
    """These were asked besides what the networks cost."""
    failed: Failed = NONE_FAILED

    kind: ClassVar = "sweep"

    def tables(self) -> list[Table]:
        within = f" within {', '.join(self.limits)}" if self.limits else ""
        notes = [
            f"{self.networks:,} networks of {self.space}{within}, seed {self.seed}, {self.earlier:,} of them from "
            f"earlier; {self.rows:,} rows in {self.folder}, which pandas, polars and DuckDB read.",
        ]
        if self.merged:
            notes.append(f"{self.merged:,} rows came from other folders.")
        few = f"Of {self.asked:,} that were asked for: the space has no others within the limits, as far as draws tell."
        notes += [f"{one.line}." for one in self.questions]
        warnings = ["Interrupted: the rows so far; the same command goes on."] if self.interrupted else []
        warnings += [few] if self.networks < self.asked and not self.interrupted else []
        warnings += [self.failed.of(self.networks)] if self.failed.networks else []
        warnings += [
            f"{one.question}: {one.failed:,} of {plural(one.done, 'cell')} failed, the last one thus: {one.reason}"
            for one in self.questions
            if one.failed
        ]
        costs = [one for one in self.spreads if one.figure in COST.figures]
        columns = [Column("of", "of all rows there"), *(Column(one.figure, one.figure, "count") for one in costs)]
        rows = [[word, *(one[1 + i] for one in costs)] for i, word in enumerate(ENDS)]
        others = [one for one in self.spreads if one not in costs]
        tables = [Table(columns, rows), *([Table(SPREAD, [[*one] for one in others])] if others else [])]
        return [*tables[:-1], replace(tables[-1], notes=notes, warnings=warnings)]


@dataclass(frozen=True, repr=False)
class Plan(Result):
    """A sweep would do this."""

    space: str
    cells: int
    size: int | None
    """The values of all options can be put together in so many ways; None: some are real numbers."""
    seconds: float
    """So much time of a processor goes into it, as far as the first networks tell."""
    bytes: int
    examples: tuple[str, ...]
    networks: int = 0
    at_most: bool = False
    """Not all of them were drawn: limits, and combinations that give no network of their own, may leave fewer."""
    tried: int = 0
    """So many were drawn and costed."""
    failed: Failed = NONE_FAILED

    kind: ClassVar = "sweep --dry-run"

    def tables(self) -> list[Table]:
        row: list[Any] = [self.space, self.networks or self.cells, self.cells, self.size, self.seconds, self.bytes]
        notes = [f"The first networks: {'; '.join(self.examples)}."]
        if self.at_most:
            notes.append("All figures are at most so large: not all networks were drawn, and there may be fewer.")
        warnings = [self.failed.of(self.tried)] if self.failed.networks else []
        return [Table(PLANNED, [row], notes=notes, warnings=warnings)]
