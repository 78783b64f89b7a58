"""`compare-runs` finds two stored runs, benchmark by benchmark."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from resbench.regression.comparing.table import comparison_tables, value_table
from resbench.regression.expectations import differences
from resbench.result import Result
from resbench.tables.table import Table


class Benchmark(NamedTuple):
    """A benchmark has the median and interquartile range of its rounds, and the counters that were stored, if any.

    ``runtime``: its kernels were counted with this, as in the gate's expectations.
    """

    name: str
    median_s: float
    iqr_s: float
    counters: Mapping[str, int]
    runtime: str = ""


@dataclass(frozen=True)
class Run:
    """A run holds what pytest-benchmark stored of a whole suite.

    ``fingerprint`` and ``stable`` tell the machine; ``digest`` is a hash of everything in the file.
    """

    path: Path
    time: datetime
    commit: str
    dirty: bool
    fingerprint: str | None
    stable: Mapping[str, Any]
    machine: Mapping[str, Any]
    benchmarks: Mapping[str, Benchmark]
    digest: str

    @property
    def revision(self) -> str:
        """Return the commit as `git describe` does, in seven digits."""
        commit = self.commit[:7] if re.fullmatch("[0-9a-f]{40}", self.commit) else self.commit
        return f"{commit}-dirty" if self.dirty else commit


class Pair(NamedTuple):
    """A pair is one benchmark in both runs."""

    a: Benchmark
    b: Benchmark

    @property
    def comparable(self) -> bool:
        """Tell whether both were counted with the same runtime, version and instruction set."""
        return self.a.runtime == self.b.runtime

    @property
    def differing(self) -> dict[str, tuple[int | None, int | None]]:
        """Return the counters that are not equal; a value is None where only the other run has the counter."""
        if not self.comparable:
            return {}
        return dict(differences(self.a.counters, self.b.counters))

    @property
    def changed(self) -> dict[str, tuple[int | None, int | None]]:
        """Return the counters that both have, with another value."""
        return {name: both for name, both in self.differing.items() if None not in both}


@dataclass(frozen=True, repr=False)
class RunComparison(Result):
    """A comparison holds two runs, and their benchmarks in pairs.

    ``timed``: their wall times may be compared; ``problems``: what could not be compared, and why.
    """

    a: Run
    b: Run
    pairs: tuple[Pair, ...]
    timed: bool
    problems: tuple[str, ...]

    kind: ClassVar = "compare-runs"
    derived: ClassVar = ("status",)
    left_out: ClassVar = "what pytest-benchmark says of the machines, and the benchmarks of one run alone"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        def run(side: str) -> Mapping[str, Any]:
            one = document[side]
            benchmarks = {pair["benchmark"]: pair[side] for pair in document["benchmarks"]}
            return {
                **one,
                "fingerprint": one["machine"],
                "machine": {},
                "time": one["time_utc"],
                "digest": "",
                "benchmarks": benchmarks,
            }

        return {**document, "a": run("a"), "b": run("b"), "pairs": document["benchmarks"]}

    def tables(self) -> list[Table]:
        return comparison_tables(self)

    def flat(self) -> Table:
        return value_table(self)

    @property
    def changed(self) -> int:
        """Return how many counters have another value, over all benchmarks."""
        return sum(len(pair.changed) for pair in self.pairs)

    @property
    def status(self) -> int:
        """Return 1 where a counter changed, 2 where something could not be compared, else 0."""
        return 1 if self.changed else 2 if self.problems else 0
