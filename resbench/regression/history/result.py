"""`history` finds the stored runs of every machine, and where the level of a benchmark changed.

A change point of the times is found in their ranks: the least sum of squares about a level for each segment, plus a
penalty for each change (Killick et al. 2012, PELT, by `ruptures`). Ranks make one penalty do for every benchmark: of
noise without a change they are a random permutation, whatever its size and shape, so that a night that was ten times
slower is no more than the slowest. Once the levels are found, each is ranked anew, because a large change hides a small
one in the ranks. A counter is exact: every change is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar, NamedTuple

from resbench.drawing.charts import Picture
from resbench.regression.comparing.result import Benchmark, Run
from resbench.regression.history.table import history_tables, machine_record, night_table
from resbench.result import Result
from resbench.tables.table import Table

PENALTY = 11.0
"""A change costs so many variances of the ranks: it has to gain the statistic of Kruskal and Wallis. Simulated: of
series of 16 to 200 runs of independent noise, at most 3 % show a change; a step of 5 % in noise of 2 % is found in 9 of
10 series of 30 runs or more once 8 runs follow it.
"""

LEAST = 4
"""A level has so many runs: ranks of fewer never pay the penalty."""


@dataclass(frozen=True)
class History:
    """A history holds the runs of one machine, the oldest first."""

    fingerprint: str
    stable: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def series(self) -> list[Series]:
        """Return the series of each benchmark of the runs, by name."""
        names = sorted({name for run in self.runs for name in run.benchmarks})
        return [
            Series(
                self.fingerprint,
                name,
                tuple(Night(run, run.benchmarks[name]) for run in self.runs if name in run.benchmarks),
            )
            for name in names
        ]


class Night(NamedTuple):
    """A night is one benchmark in one run."""

    run: Run
    benchmark: Benchmark


class Change(NamedTuple):
    """``before`` is the last run at the old level, ``at`` the first at the new; levels are medians."""

    before: Run
    at: Run
    old_s: float
    new_s: float

    @property
    def relative(self) -> float:
        """Return the change as a share: 0.05 is 5 % more time."""
        return self.new_s / self.old_s - 1


class Recount(NamedTuple):
    """A counter has another value than it last had."""

    before: Run
    at: Run
    counter: str
    old: int
    new: int


@dataclass(frozen=True)
class Series:
    """A series is one benchmark on one machine, by time."""

    fingerprint: str
    name: str
    nights: tuple[Night, ...]

    @cached_property
    def levels(self) -> list[tuple[int, int, float]]:
        """Return the first night, the night after the last, and the median of each level."""
        seconds = [night.benchmark.median_s for night in self.nights]
        edges = [0, *change_points(seconds), len(seconds)]
        return [(start, end, median(seconds[start:end])) for start, end in pairwise(edges)]

    @property
    def changes(self) -> list[Change]:
        """Return the changes of the time."""
        return [
            Change(self.nights[start - 1].run, self.nights[start].run, old_s, new_s)
            for (_, _, old_s), (start, _, new_s) in pairwise(self.levels)
        ]

    @property
    def recounts(self) -> list[Recount]:
        """Return the changes of the counters. One that a run does not have is neither changed nor forgotten."""
        found, known = [], dict[str, tuple[int, Run]]()
        for run, (_, _, _, counters) in self.nights:
            for name, new in counters.items():
                old, before = known.get(name, (new, run))
                if old != new:
                    found.append(Recount(before, run, name, old, new))
                known[name] = new, run
        return found


def change_points(seconds: Sequence[float]) -> list[int]:
    """Return where new levels begin.

    >>> change_points([1.0, 1.1, 1.2, 1.3] * 3), change_points([1.0, 1.1, 1.2, 1.3] * 3 + [1.4, 1.5, 1.6, 1.7] * 3)
    ([], [12])
    """
    from ruptures import KernelCPD  # type: ignore[import-untyped]
    from scipy.stats import rankdata

    ranks = rankdata(seconds)
    if len(ranks) < 2 * LEAST or not ranks.std():
        return []
    scaled = ((ranks - ranks.mean()) / ranks.std())[:, None]
    *found, end = KernelCPD(kernel="linear", min_size=LEAST).fit_predict(scaled, pen=PENALTY)
    edges = [0, *found, end]
    within = [i + start for start, end in pairwise(edges) if found for i in change_points(seconds[start:end])]
    return sorted([*map(int, found), *within])


@dataclass(frozen=True, repr=False)
class Histories(Result):
    """These are the histories of a suite, machine by machine."""

    histories: tuple[History, ...]

    kind: ClassVar = "history"
    derived: ClassVar = ("machines",)
    left_out: ClassVar = "the files of the runs, and whether their trees were dirty"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        def runs(machine: Mapping[str, Any]) -> list[dict[str, Any]]:
            found: dict[tuple[str, str], dict[str, Any]] = {}
            for one in machine["benchmarks"]:
                for night in one["nights"]:
                    key = night["time_utc"], night["commit"]
                    run = {
                        **{"path": "", "time": key[0], "commit": key[1], "dirty": False, "digest": " ".join(key)},
                        **{"fingerprint": machine["id"], "stable": machine["stable"], "machine": {}, "benchmarks": {}},
                    }
                    found.setdefault(key, run)["benchmarks"][night["benchmark"]] = {**night, "name": night["benchmark"]}
            return [found[key] for key in sorted(found)]

        return {
            "histories": [
                {"fingerprint": one["id"], "stable": one["stable"], "runs": runs(one)} for one in document["machines"]
            ]
        }

    @property
    def machines(self) -> list[dict[str, Any]]:
        """Return every machine with its benchmarks, their nights, and the changes."""
        return [machine_record(history) for history in self.histories]

    def tables(self) -> list[Table]:
        return history_tables(self.histories)

    def flat(self) -> Table:
        return night_table(self.histories)

    def pictures(self) -> list[Picture]:
        from resbench.regression.history.chart import levels

        return [levels(self.histories)]
