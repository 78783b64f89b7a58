"""The history of stored runs becomes tables: where each benchmark stands, and what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.regression.history.result import Change, History, Series

METHOD = (
    "Change: the level from that run on, the median of its runs, against the level before. Found in the ranks of at "
    "least 16 runs, once 4 to 8 follow it; of series of independent noise, 3 % or fewer show one. A counter is exact."
)

SERIES_COLUMNS = (
    Column("benchmark", "benchmark", "prose"),
    Column("machine", "machine"),
    Column("runs", "runs", "exact"),
    Column("median_s", "latest (s)", "number"),  # microseconds and minutes may stand in one column: no common scale
    Column("relative", "since first", "ratio"),
    Column("changes", "changes", "exact"),
    Column("recounts", "counters changed", "exact"),
    Column("first", "first"),
    Column("last", "latest"),
)

CHANGE_COLUMNS = (
    Column("benchmark", "benchmark", "prose"),
    Column("change", "change", "share"),
    Column("commit", "commit"),
    Column("date", "date"),
    Column("old_s", "from (s)", "number"),
    Column("new_s", "to (s)", "number"),
    Column("before", "commit before"),
    Column("machine", "machine"),
)

RECOUNT_COLUMNS = (
    Column("benchmark", "benchmark", "prose"),
    Column("counter", "counter"),
    Column("old", "from", "exact"),
    Column("new", "to", "exact"),
    Column("commit", "commit"),
    Column("date", "date"),
    Column("before", "commit before"),
    Column("machine", "machine"),
)


def history_tables(histories: Sequence[History]) -> list[Table]:
    """Return what changed, if anything did, and then every benchmark of every machine."""
    every = [series for history in histories for series in history.series]
    changes = [
        [_change(series, change)[c.key] for c in CHANGE_COLUMNS] for series in every for change in series.changes
    ]
    recounts = [[_recount(series, one)[c.key] for c in RECOUNT_COLUMNS] for series in every for one in series.recounts]
    rows = [[_standing(series)[column.key] for column in SERIES_COLUMNS] for series in every]
    notes = [METHOD, *(f"Machine {history.fingerprint}: {_machine(history)}." for history in histories)]
    return [
        *([Table(CHANGE_COLUMNS, changes, "Changes of time")] if changes else []),
        *([Table(RECOUNT_COLUMNS, recounts, "Changes of counters")] if recounts else []),
        Table(SERIES_COLUMNS, rows, "History", notes),
    ]


MACHINE = {
    "gpu": "{}",
    "cpu": "{}",
    "threads": "{} threads",
    "torch": "torch {}",
    "system": "{}",
    "kernel": "{}",
}
"""These words tell a machine from others, each for a field that it has."""


def _machine(history: History) -> str:
    stable = history.stable
    parts = [words.format(stable[field]) for field, words in MACHINE.items() if stable.get(field)]
    return ", ".join(parts) or "undescribed"


def _standing(series: Series) -> dict[str, Any]:
    first, last = series.runs[0], series.runs[-1]
    latest_s = last.benchmarks[series.name].median_s
    return {
        "benchmark": series.name,
        "machine": series.fingerprint,
        "runs": len(series.runs),
        "first": first.time.date().isoformat(),
        "last": last.time.date().isoformat(),
        "median_s": latest_s,
        "relative": latest_s / first.benchmarks[series.name].median_s,
        "changes": len(series.changes),
        "recounts": len(series.recounts),
    }


def _where(series: Series, change: Change) -> dict[str, Any]:
    return {
        "benchmark": series.name,
        "machine": series.fingerprint,
        "date": change.at.time.date().isoformat(),
        "commit": change.at.revision,
        "before": change.before.revision,
    }


def _change(series: Series, change: Change) -> dict[str, Any]:
    return {**_where(series, change), "old_s": change.old, "new_s": change.new, "change": change.relative}


def _recount(series: Series, change: Change) -> dict[str, Any]:
    return {**_where(series, change), "counter": change.what, "old": change.old, "new": change.new}


NIGHT_COLUMNS = (
    Column("machine", "machine"),
    Column("benchmark", "benchmark"),
    Column("time_utc", "time (UTC)"),
    Column("commit", "commit"),
    Column("median_s", "median"),
    Column("iqr_s", "IQR"),
    Column("level_s", "level"),
    Column("change", "change"),
    Column("counters_changed", "counters changed"),
)


def night_table(histories: Sequence[History]) -> Table:
    """Return a row for every run of every benchmark, with the level that it belongs to."""
    rows = [
        [night[column.key] for column in NIGHT_COLUMNS]
        for history in histories
        for series in history.series
        for night in nights(series)
    ]
    return Table(NIGHT_COLUMNS, rows)


def nights(series: Series) -> list[dict[str, Any]]:
    """Return the runs of a benchmark by column; ``change`` and ``counters_changed`` are None where there was none."""
    changes = {change.at.digest: change.relative for change in series.changes}
    recounts = series.recounts
    level = {i: level_s for start, end, level_s in series.levels for i in range(start, end)}
    return [
        {
            "machine": series.fingerprint,
            "benchmark": series.name,
            "time_utc": run.time.isoformat(),
            "commit": run.commit,
            "median_s": run.benchmarks[series.name].median_s,
            "iqr_s": run.benchmarks[series.name].iqr_s,
            "level_s": level[i],
            "change": changes.get(run.digest),
            "counters_changed": "; ".join(
                f"{one.what} {one.old} -> {one.new}" for one in recounts if one.at.digest == run.digest
            )
            or None,
            "counters": dict(run.benchmarks[series.name].counters),
        }
        for i, run in enumerate(series.runs)
    ]


def machine_record(history: History) -> dict[str, Any]:
    """Return one machine with its benchmarks, their runs, and the changes."""
    return {
        "id": history.fingerprint,
        "stable": history.stable,
        "benchmarks": [
            {
                **_standing(series),
                "changes": [_change(series, change) for change in series.changes],
                "recounts": [_recount(series, change) for change in series.recounts],
                "nights": nights(series),
            }
            for series in history.series
        ],
    }
