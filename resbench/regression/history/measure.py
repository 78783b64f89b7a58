"""The history of a suite: one file for each machine, one line for each stored run, and where the level changed.

    <fingerprint>.jsonl    {"schema": 1, "environment": {"id", "stable"}}                                 the first line
                           {"digest", "time_utc", "commit", "dirty", "environment", "benchmarks":
                            {name: {"median_s", "iqr_s", "counters"}}}                      one line for each run

A change point of the times is found in their ranks: the least sum of squares about a level for each segment, plus a
penalty for each change (Killick et al. 2012, PELT, by `ruptures`). Ranks make one penalty do for every benchmark: of
noise without a change they are a random permutation, whatever its size and shape, so that a night that was ten times
slower is no more than the slowest. Once the levels are found, each is ranked anew, because a large change hides a small
one in the ranks. A counter is exact: every change is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from resbench.errors import GateError, OutputError, first_line
from resbench.files import write
from resbench.regression.comparing.measure import Benchmark, Run, benchmark, fingerprint, moment, take

SCHEMA = 1

PENALTY = 11.0
"""Of a change, in variances of the ranks: what it has to gain is the statistic of Kruskal and Wallis. Simulated: of
series of 16 to 200 runs of independent noise, at most 3 % show a change; a step of 5 % in noise of 2 % is found in 9 of
10 series of 30 runs or more once 8 runs follow it.
"""

LEAST = 4
"""Runs of a level: ranks of fewer never pay the penalty."""

WAIT_S = 60
"""For another process that appends to the same folder."""


@dataclass(frozen=True)
class History:
    """The runs of one machine, the oldest first."""

    fingerprint: str
    stable: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def series(self) -> list[Series]:
        """Each benchmark of the runs, by name."""
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
    """One benchmark in one run."""

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
        """0.05: 5 % more time."""
        return self.new_s / self.old_s - 1


class Recount(NamedTuple):
    """A counter with another value than it last had."""

    before: Run
    at: Run
    counter: str
    old: int
    new: int


@dataclass(frozen=True)
class Series:
    """One benchmark on one machine, by time."""

    fingerprint: str
    name: str
    nights: tuple[Night, ...]

    @cached_property
    def levels(self) -> list[tuple[int, int, float]]:
        """First night, night after the last, and median of each level."""
        seconds = [night.benchmark.median_s for night in self.nights]
        edges = [0, *change_points(seconds), len(seconds)]
        return [(start, end, median(seconds[start:end])) for start, end in pairwise(edges)]

    @property
    def changes(self) -> list[Change]:
        """Of the time."""
        return [
            Change(self.nights[start - 1].run, self.nights[start].run, old_s, new_s)
            for (_, _, old_s), (start, _, new_s) in pairwise(self.levels)
        ]

    @property
    def recounts(self) -> list[Recount]:
        """Of the counters. One that a run does not have is neither changed nor forgotten."""
        found, known = [], dict[str, tuple[int, Run]]()
        for run, (_, _, _, counters) in self.nights:
            for name, new in counters.items():
                old, before = known.get(name, (new, run))
                if old != new:
                    found.append(Recount(before, run, name, old, new))
                known[name] = new, run
        return found


def change_points(seconds: Sequence[float]) -> list[int]:
    """Where a new level begins.

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


def histories(folder: Path) -> list[History]:
    """All machines of a folder. Raises GateError for a file, and the line in it, that is no history."""
    return [_read(path) for path in sorted(folder.glob("*.jsonl"))]


def append(folder: Path, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that were not there yet, each now in the file of its machine.

    All are checked before one is written, and a file is replaced in one step. Raises GateError, OutputError.
    """
    from filelock import FileLock, Timeout

    machines: dict[str, list[Run]] = {}
    for run in runs:
        if run.fingerprint is None:
            raise GateError(
                f"{run.path} has no fingerprint of the machine, without which its times belong to no history; "
                "run the suite with resbench's pytest plugin"
            )
        machines.setdefault(run.fingerprint, []).append(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=WAIT_S):
            texts, new = dict[Path, str](), list[Run]()
            for name, own in machines.items():
                path = folder / f"{name}.jsonl"
                known = {run.digest for run in _read(path).runs} if path.exists() else set()
                fresh = [run for run in {run.digest: run for run in own}.values() if run.digest not in known]
                old = path.read_text(encoding="utf-8") if path.exists() else _head(own[0])
                texts[path] = "\n".join([*old.splitlines(), *map(_line, fresh)]) + "\n" if fresh else old
                new += fresh
            for path, text in texts.items():
                write(path, text)
            return new
    except Timeout:
        raise OutputError(f"another process appends to {folder} for {WAIT_S} s already; try again") from None
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}; name a folder with --dir") from None


def _head(run: Run) -> str:
    return _compact({"schema": SCHEMA, "environment": {"id": run.fingerprint, "stable": run.stable}})


def _line(run: Run) -> str:
    benchmarks = {
        name: {"median_s": one.median_s, "iqr_s": one.iqr_s, "counters": one.counters}
        for name, one in run.benchmarks.items()
    }
    record = {"digest": run.digest, "time_utc": run.time.isoformat(), "commit": run.commit, "dirty": run.dirty}
    return _compact({**record, "environment": run.fingerprint, "benchmarks": benchmarks})


def _compact(record: dict[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"))


def _read(path: Path) -> History:
    """A file of the folder."""
    number = 1
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
        name, stable = _machine(json.loads(first))
        if name != path.stem:
            raise ValueError(f"it is of the machine {name}")
        runs = []
        for line in rest:
            number += 1
            runs.append(_run(json.loads(line), name, stable, path))
    except OSError as error:
        raise GateError(f"cannot read {path}: {error.strerror or error}; name a folder with --dir") from None
    except (ValueError, RecursionError) as error:
        raise GateError(
            f"{path}, line {number}: expected a line of a history, received another ({first_line(error)}); "
            "mend or delete that line; nothing was written"
        ) from None
    return History(name, stable, tuple(sorted(runs, key=lambda run: run.time)))


def _machine(record: Any) -> tuple[str, dict[str, Any]]:
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"schema {SCHEMA} is known, not {schema!r}; another resbench may know it")
    here = take(record, "environment", dict)
    return fingerprint(take(here, "id", str)), take(here, "stable", dict)


def _run(record: Any, name: str, stable: dict[str, Any], path: Path) -> Run:
    if take(record, "environment", str) != name:
        raise ValueError(f"it is of the machine {record['environment']!r}")
    benchmarks = {
        which: benchmark(which, take(one, "median_s", float), take(one, "iqr_s", float), take(one, "counters", dict))
        for which, one in take(record, "benchmarks", dict).items()
    }
    return Run(
        path,
        moment(take(record, "time_utc", str)),
        take(record, "commit", str),
        take(record, "dirty", bool),
        name,
        stable,
        {},
        benchmarks,
        take(record, "digest", str),
    )
