"""Two stored runs become tables: a row for each benchmark, and the counters that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.regression.comparing.result import Pair, Run, RunComparison

TIMED_NOTES = (
    "Medians; spread: interquartile range / median.",
    "Wall times of single runs side by side are no verdict: `resbench gate` measures both in turn and gives one.",
)

COUNTED = (Column("benchmark", "benchmark", "prose"), Column("counters", "counters"))
TIMED = (
    Column("a_s", "A (s)", "number"),  # microseconds and minutes may stand in one column: no common scale
    Column("b_s", "B (s)", "number"),
    Column("ratio", "B / A", "ratio"),
    Column("a_spread", "A spread", "share"),
    Column("b_spread", "B spread", "share"),
)


def comparison_tables(comparison: RunComparison) -> list[Table]:
    """Return the counters that differ, if any do; then the benchmarks, without times where these are not compared."""
    notes = [_which("A", comparison.a), _which("B", comparison.b), *(TIMED_NOTES if comparison.timed else ())]
    moved = [f"{pair.a.name} is {pair.b.name} in B" for pair in comparison.pairs if pair.a.name != pair.b.name]
    notes += [f"Renamed or moved: {'; '.join(moved)}."] if moved else []
    rows = [[pair.a.name, _counters(pair), *(_times(pair) if comparison.timed else ())] for pair in comparison.pairs]
    runs = Table(
        (*COUNTED, *(TIMED if comparison.timed else ())), rows, "Stored runs", notes, warnings=comparison.problems
    )
    differing = [
        (pair.a.name, name, *both, _ratio(*both)) for pair in comparison.pairs for name, both in pair.differing.items()
    ]
    return [*([Table(COUNTER_COLUMNS, differing, "Counters that differ")] if differing else []), runs]


COUNTER_COLUMNS = (
    Column("benchmark", "benchmark", "prose"),
    Column("counter", "counter"),
    Column("a", "A", "exact"),
    Column("b", "B", "exact"),
    Column("ratio", "B / A", "ratio"),
)


def _which(letter: str, run: Run) -> str:
    time = run.time.isoformat(" ", "minutes").removesuffix("+00:00")
    return f"{letter}: {run.path}, commit {run.revision}, {time} UTC, machine {run.fingerprint or 'unknown'}."


def _counters(pair: Pair) -> str:
    missing = [letter for letter, one in zip("AB", pair, strict=True) if not one.counters]
    if missing:
        return f"none in {' and '.join(missing)}"
    numbers = {"changed": len(pair.changed), "missing": len(pair.differing) - len(pair.changed)}
    differing = [f"{number} {what}" for what, number in numbers.items() if number]
    return ", ".join(differing) or f"{len(pair.a.counters)} equal"


def _times(pair: Pair) -> tuple[float | None, ...]:
    a, b = pair
    return a.median_s, b.median_s, _ratio(a.median_s, b.median_s), a.iqr_s / a.median_s, b.iqr_s / b.median_s


def _ratio(a: float | None, b: float | None) -> float | None:
    return b / a if a and b is not None else None


VALUE_COLUMNS = (
    Column("benchmark", "benchmark"),
    Column("what", "what"),
    Column("a", "A"),
    Column("b", "B"),
    Column("ratio", "B / A"),
    Column("verdict", "verdict"),
)


def value_table(comparison: RunComparison) -> Table:
    """Return a row for every number: the counters, equal ones too, and the medians where they are compared."""
    rows: list[tuple[Any, ...]] = []
    for pair in comparison.pairs:
        for name in dict.fromkeys([*pair.a.counters, *pair.b.counters]):
            a, b = pair.a.counters.get(name), pair.b.counters.get(name)
            verdict = "missing" if None in (a, b) else "equal" if a == b else "changed"
            rows.append((pair.a.name, name, a, b, _ratio(a, b), verdict))
        if comparison.timed:
            medians = pair.a.median_s, pair.b.median_s
            rows.append((pair.a.name, "median_s", *medians, _ratio(*medians), "no verdict"))
    return Table(VALUE_COLUMNS, rows, warnings=comparison.problems)
