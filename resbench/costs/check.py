"""Three counters tell one truth: the fold, the tracer and fvcore stand side by side, by kind of operator.

fvcore also counts batch normalisation, layer normalisation and average pooling; those stand against our elementwise
column. A matrix product is ``linear`` inside an ``nn.Linear``, part of a ``convolution`` inside a convolution module,
and anywhere else a ``matrix product``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import nn

from resbench.arch.published import PublishedCost, agrees, published_costs
from resbench.arch.rows import Cost
from resbench.costs.fvcore_counts import OPERATIONS, FvcoreCounts, fvcore_counts
from resbench.errors import TraceError
from resbench.networks.arguments import Called
from resbench.operators.dispatch import TABLE
from resbench.operators.rules import MAC_KINDS
from resbench.result import Result
from resbench.tables.table import Column, Table
from resbench.units import plural

COLUMNS = (
    Column("model", "model"),
    Column("kind", "what"),
    Column("verdict", "verdict"),
    Column("fold", "fold", "exact"),
    Column("trace", "trace", "exact"),
    Column("fvcore", "fvcore", "exact"),
    Column("unit", "unit"),
    Column("source", "source"),
)

NOTES = (
    "Counted three times: by the formulas of the architecture, by following one forward, and by fvcore.",
    "What fvcore counts besides MACs stands against our elementwise operations.",
    "Blank: the counter does not apply, or a remark says why.",
)

TOTALS = {operator.type: operator.total for operator in TABLE.values() if operator.total}


class CheckLine(NamedTuple):
    """A line is a kind of operator, or a published figure; None stands where a counter does not apply."""

    kind: str
    unit: str
    fold: int | None
    trace: int | None
    fvcore: int | None
    verdict: str
    """``equal``, ``alone`` (one counter applies), ``explained`` (a misprint, a rounding, what fvcore drops: a remark
    says which), ``incomplete`` (operators without a formula ran, or the tracer failed) or ``differs``."""
    source: str = ""

    @property
    def differs(self) -> bool:
        return self.verdict == "differs"


@dataclass(frozen=True)
class Check:
    """A check is the lines of one model, and says why a counter has no figure where it has none."""

    model: str
    lines: tuple[CheckLine, ...]
    remarks: tuple[str, ...]

    derived: ClassVar = ("agrees",)

    @property
    def agrees(self) -> bool:
        return not any(line.verdict in ("differs", "incomplete") for line in self.lines)


@dataclass(frozen=True, repr=False)
class Checks(Result):
    """Every counter that applies to a model is held against the others and against what is published."""

    checks: tuple[Check, ...]

    kind: ClassVar = "flops --verify"
    members: ClassVar = "checks"
    derived: ClassVar = ("agree",)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"checks": document["models"]}

    @property
    def agree(self) -> bool:
        """Nothing differs, and everything was counted."""
        return all(check.agrees for check in self.checks)

    def tables(self) -> list[Table]:
        """A row stands for each kind of operator, the parameters, and each published figure."""
        rows = [
            (check.model, line.kind, line.verdict, line.fold, line.trace, line.fvcore, line.unit, line.source)
            for check in self.checks
            for line in check.lines
        ]
        remarks = [f"{check.model}: {remark}." for check in self.checks for remark in check.remarks]
        return [Table(COLUMNS, rows, notes=(*remarks, *NOTES))]


def check(
    model: str,
    fold: Cost | None,
    trace: Cost | None,
    module: nn.Module,
    published: tuple[PublishedCost, ...] = (),
    inputs: Called = (),
    failed: Sequence[str] = (),
) -> Check:
    """Hold every counter that applies against the others.

    ``module`` has real weights on the CPU: fvcore runs it, on ``inputs``, a shape or tensors (by default the shape
    that was traced). A counter that fails leaves its column blank, with its reason as a remark; ``failed`` are the
    reasons of those that failed before. Raises TraceError where none is left.
    """
    given = inputs or (trace.input if trace else ())
    reasons, theirs = list(failed), None
    try:
        theirs = fvcore_counts(module, given)
    except TraceError as error:
        reasons.append(str(error))
    if fold is None and trace is None and theirs is None:
        raise TraceError(f"{model}: no counter could run it: {'; '.join(reasons)}")
    found = _by_kind(fold, trace, theirs)
    if theirs and any(line.differs for line, _ in found):
        with suppress(TraceError):  # then the difference stands
            found = _by_kind(fold, trace, theirs, fvcore_counts(module, given, alive=True))
    lines = [line for line, _ in found]
    params = fold.params if fold else None, trace.params if trace else None
    lines.append(_compared("parameters", "count", *params, theirs.params if theirs else None))
    figures = (*published, *published_costs().get(model, ()))
    for figure in figures if fold or trace else ():
        lines += _published(figure, fold, trace)
    reasons += [f"{figure.source}: {figure.remark}" for figure in figures if figure.remark]
    reasons += dict.fromkeys(remark for _, remarks in found for remark in remarks)
    uncounted = trace.uncounted if trace else ()
    reasons += [f"the tracer has no formula for {name} ({plural(calls, 'call')})" for name, calls in uncounted]
    return Check(model, tuple(lines), tuple(reasons))


Explained = tuple[CheckLine, Sequence[str]]
"""A line comes with the remarks that explain it."""


def _by_kind(
    fold: Cost | None, trace: Cost | None, theirs: FvcoreCounts | None, alive: FvcoreCounts | None = None
) -> list[Explained]:
    """Make a line for each kind that any counter found, and one for all MACs. ``alive`` has what fvcore drops."""
    folded = _by_total(fold) if fold else Counter()
    traced = Counter(dict(trace.kinds)) + _pooled(trace) if trace else Counter()
    found = []
    for kind in (*MAC_KINDS, *OPERATIONS):
        ours = folded.get(kind, 0) if fold else None, traced.get(kind, 0) if trace else None
        if any(ours) or (theirs and theirs.kinds.get(kind)):
            unit = "MACs" if kind in MAC_KINDS else "operations"
            found.append(_held(_compared(kind, unit, *ours, None), (kind,), theirs, alive))
    macs = fold.macs if fold else None, trace.macs if trace else None
    total, remarks = _held(_compared("all MACs", "MACs", *macs, None), MAC_KINDS, theirs, alive)
    if not total.differs and (trace is None or trace.uncounted):
        total = total._replace(verdict="incomplete")
    return [*found, (total, remarks)]


def _held(line: CheckLine, kinds: Sequence[str], theirs: FvcoreCounts | None, alive: FvcoreCounts | None) -> Explained:
    """Put fvcore's figure of these kinds beside ours, and explain a difference where fvcore's graph says why."""
    if theirs is None:
        return line, ()
    figure = theirs.of(kinds)
    gaps = [f"fvcore {gap.reason} ({plural(calls, 'call')})" for gap, calls in theirs.gaps.items() if gap.kind in kinds]
    whole = _compared(line.kind, line.unit, line.fold, line.trace, figure)
    ours = line.trace if line.trace is not None else line.fold
    if not whole.differs or figure is None or ours is None or line.differs:
        return whole, gaps
    slack = sum(theirs.slack.get(kind, 0) for kind in kinds)
    if abs(ours - figure) <= slack:
        return whole._replace(verdict="explained"), ["fvcore reads einsum off a report of four digits"]
    used = alive.of(kinds) if alive else None
    if used is not None and abs(ours - used) <= slack:
        why = f"fvcore drops {used - figure:,} {line.unit} ({line.kind}): their result is not used"
        return whole._replace(verdict="explained"), [why] if len(kinds) == 1 else []  # of all MACs: said by kind
    if theirs.opaque:
        return line, [
            f"fvcore has no formula for {name} ({plural(calls, 'call')})" for name, calls in theirs.opaque.items()
        ]
    return whole, gaps


def _compared(kind: str, unit: str, fold: int | None, trace: int | None, fvcore: int | None) -> CheckLine:
    values = {value for value in (fold, trace, fvcore) if value is not None}
    single = [fold, trace, fvcore].count(None) == 2
    return CheckLine(kind, unit, fold, trace, fvcore, "alone" if single else "equal" if len(values) == 1 else "differs")


def _published(figure: PublishedCost, fold: Cost | None, trace: Cost | None) -> Iterator[CheckLine]:
    for what, title, printed in (("params", "parameters", figure.params), ("macs", "MACs", figure.macs)):
        if printed:
            same = agrees(getattr(fold or trace, what), printed)
            verdict = "equal" if same else "explained" if figure.remark else "differs"
            counts = getattr(fold, what, None), getattr(trace, what, None), None
            yield CheckLine(
                f"printed {title} {printed}", "MACs" if what == "macs" else "count", *counts, verdict, figure.source
            )


def _by_total(fold: Cost) -> Counter[str]:
    """Sum the fold's MACs by kind, and its elementwise operations by the totals that torch's operators have."""
    counts: Counter[str] = Counter()
    for row in fold.layers:
        if row.kind in MAC_KINDS:
            counts[row.kind] += row.macs
        elif total := TOTALS.get(row.type) or TOTALS.get(row.type.removesuffix("2d")):  # LayerNorm2d is one of maps
            counts[total] += row.elementwise
    return counts


def _pooled(trace: Cost) -> Counter[str]:
    """A pooling module reads its whole input; called as a function it is a mean like any other."""
    rows = [row for row in trace.layers if row.type == "AdaptiveAvgPool2d" and row.output[-2:] == (1, 1)]
    return Counter({"adaptive pooling": sum(row.elementwise for row in rows)})
