"""What a gate found becomes tables: counters that changed, and the duel."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from resbench.regression.duel import Duel
from resbench.tables.table import Column, Table
from resbench.units import plural

if TYPE_CHECKING:
    from resbench.regression.gating.result import Gate

MOST = 40
"""A person reads so many rows of changes; CSV and JSON have all."""

CHANGES = (
    Column("benchmark", "benchmark", "prose"),
    Column("layer", "layer"),
    Column("counter", "counter"),
    Column("before", "before", "exact"),
    Column("after", "after", "exact"),
    Column("explained", "explained"),
)

TIMES = (
    Column("benchmark", "benchmark", "prose"),
    Column("verdict", "verdict"),
    Column("effect", "slower by", "share"),
    Column("detectable", "would see", "share"),
    Column("low", "from", "share"),
    Column("high", "to", "share"),
    Column("base_s", "base", "seconds"),
    Column("head_s", "head", "seconds"),
    Column("margin", "margin", "share"),
    Column("slower", "p slower", "number"),
    Column("faster", "p faster", "number"),
)


def change_table(gate: Gate, whole: bool = True) -> Table:
    """Return a row for each counter of a layer that changed, those first that nothing explains."""
    rows = [
        [change.benchmark, change.layer or "(the model itself)", change.counter, change.before, change.after, explained]
        for changes, explained in ((gate.changes, None), (gate.explained, "by the head's expectations"))
        for change in changes
    ]
    limits = [
        f"{e.benchmark}: {e.counter} is {e.total:,}, above the suite's limit of {e.limit:,}." for e in gate.excesses
    ]
    hidden = 0 if whole else max(0, len(rows) - MOST)
    apart = [one.line for one in gate.incomparable]
    warnings = [*limits, *apart, *([f"{hidden} more changed; --format csv has all."] if hidden else [])]
    if gate.changes and gate.head == "working tree":  # held against what is committed
        warnings.append("If that is meant: `resbench gate --update`, and commit what it writes.")
    return Table(CHANGES, rows[: len(rows) - hidden], _counters_say(gate), gate.notes, warnings=warnings)


def _counters_say(gate: Gate) -> str:
    count = len(gate.benchmarks)
    changed = {change.benchmark for change in (*gate.changes, *gate.explained)}
    equal = f"equal in {plural(count, 'benchmark')}"
    found = f"changed in {len(changed)} of {plural(count, 'benchmark')}" if changed else equal
    return f"Counters: {gate.head} against {gate.base}: {found}"


def time_table(duel: Duel) -> Table:
    """Return a row for each benchmark, with what the run could have seen."""
    judgement, rules = duel.judgement, duel.rules
    if judgement is None:
        return _unjudged(duel)
    rows = [
        [
            name,
            one.verdict,
            one.effect,
            None if one.detectable == inf else one.detectable,
            one.low,
            one.high,
            *(duel.medians(name)[arm] for arm in ("base", "head")),
            rules.margins.get(name, rules.margin),
            one.slower,
            one.faster,
        ]
        for name, one in judgement.benchmarks.items()
    ]
    warnings = [
        f"{name}: the base differs from itself: this run says nothing; let the machine be quieter."
        for name in judgement.invalid
    ]
    notes = [
        f"Slower by: head / base - 1, the Hodges-Lehmann estimate over {len(duel.rounds)} rounds of fresh processes "
        f"in turn (ABBA, {duel.seconds:.0f} s), with its 95 % interval over blocks.",
        f"One-sided Wilcoxon signed-rank tests beyond the margin, Holm over {plural(len(rows), 'benchmark')}, looks at "
        f"{' and '.join(map(str, rules.looks))} rounds at most, {100 * rules.level:g} % in all. Would see: what would "
        f"most likely have been rejected; PASS wants it within {100 * rules.target:g} %.",
        duel.environment.note,
    ]
    return Table(TIMES, rows, f"Wall time: {judgement.verdict}", notes, warnings=warnings)


def _unjudged(duel: Duel) -> Table:
    """Return the times alone, of a duel that Ctrl-C ended before its last look."""
    columns = [column for column in TIMES if column.key in ("benchmark", "verdict", "base_s", "head_s")]
    rows = [
        [name, "not judged", *(duel.medians(name)[arm] for arm in ("base", "head"))]
        for name in (duel.rounds[0] if duel.rounds else ())
    ]
    notes = [f"Medians over {plural(len(duel.rounds), 'round')}, too few for a verdict.", duel.environment.note]
    return Table(columns, rows, "Wall time: interrupted", notes)
