"""This module holds what `sweep` finds: how many rows, where they lie, and how their figures are spread."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from resbench.result import Result
from resbench.tables.table import Column, Table

ENDS = ("least", "a quarter below", "median", "a quarter above", "most")
"""The rows of the table of spreads."""

PLANNED = (
    Column("space", "space"),
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
    networks: int
    """So many were found now: fewer than were asked for where the space has no others."""
    earlier: int
    """So many of them were there already."""
    rows: int
    """The folder holds so many rows now."""
    seconds: float
    spreads: tuple[Spread, ...]
    interrupted: bool = False

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
        warnings = ["Interrupted: the networks so far; the same command goes on."] if self.interrupted else []
        warnings += [few] if self.networks < self.asked and not self.interrupted else []
        columns = [Column("of", "of the networks"), *(Column(one.figure, one.figure, "count") for one in self.spreads)]
        rows = [[word, *(one[1 + i] for one in self.spreads)] for i, word in enumerate(ENDS)]
        return [Table(columns, rows, notes=notes, warnings=warnings)]


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

    kind: ClassVar = "sweep --dry-run"

    def tables(self) -> list[Table]:
        row: list[Any] = [self.space, self.cells, self.size, self.seconds, self.bytes]
        return [Table(PLANNED, [row], notes=[f"The first networks: {'; '.join(self.examples)}."])]
