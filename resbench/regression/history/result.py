"""`history` finds the stored runs of every machine, and where the level of a benchmark changed.

A change point of the times is found in their ranks: the least sum of squares about a level for each segment, plus a
penalty for each change (Killick et al. 2012, PELT, by `ruptures`). Ranks make one penalty do for every benchmark: of
noise without a change they are a random permutation, whatever its size and shape, so that a night that was ten times
slower is no more than the slowest. Once the levels are found, each is ranked anew, because a large change hides a small
one in the ranks. A counter is exact: every change is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar, NamedTuple

from resbench.drawing.charts import Picture
from resbench.regression.comparing.result import Run
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


class Change(NamedTuple):
    """From the run ``at`` on, a counter has another value or ``median_s`` another level, the median of its runs.

    ``before`` is the last run with the old one.
    """

    before: Run
    at: Run
    what: str
    old: float
    new: float

    @property
    def relative(self) -> float:
        """Return the change as a share: 0.05 is 5 % more time."""
        return self.new / self.old - 1


@dataclass(frozen=True)
class Series:
    """A series is one benchmark on one machine, in the runs that have it, by time."""

    fingerprint: str
    name: str
    runs: tuple[Run, ...]

    @cached_property
    def levels(self) -> list[tuple[int, int, float]]:
        """Return the first run, the run after the last, and the median of each level."""
        seconds = [run.benchmarks[self.name].median_s for run in self.runs]
        edges = [0, *change_points(seconds), len(seconds)]
        return [(start, end, median(seconds[start:end])) for start, end in pairwise(edges)]

    @property
    def changes(self) -> list[Change]:
        """Return the changes of the time."""
        return [
            Change(self.runs[start - 1], self.runs[start], "median_s", old_s, new_s)
            for (_, _, old_s), (start, _, new_s) in pairwise(self.levels)
        ]

    @property
    def recounts(self) -> list[Change]:
        """Return the changes of the counters. One that a run does not have is neither changed nor forgotten."""
        found, known = [], dict[str, tuple[int, Run]]()
        for run in self.runs:
            for name, new in run.benchmarks[self.name].counters.items():
                old, before = known.get(name, (new, run))
                if old != new:
                    found.append(Change(before, run, name, old, new))
                known[name] = new, run
        return found


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
            Series(self.fingerprint, name, tuple(run for run in self.runs if name in run.benchmarks)) for name in names
        ]


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
            nights = [night for one in machine["benchmarks"] for night in one["nights"]]
            return [
                {
                    "path": "",
                    "time": time,
                    "commit": commit,
                    "dirty": False,
                    "fingerprint": machine["id"],
                    "stable": machine["stable"],
                    "machine": {},
                    "digest": f"{time} {commit}",
                    "benchmarks": {
                        night["benchmark"]: {**night, "name": night["benchmark"]}
                        for night in nights
                        if (night["time_utc"], night["commit"]) == (time, commit)
                    },
                }
                for time, commit in sorted({(night["time_utc"], night["commit"]) for night in nights})
            ]

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
