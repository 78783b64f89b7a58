"""Three counters, one truth: the fold, the tracer and fvcore side by side, per kind of operator.

fvcore also counts batch normalisation, layer normalisation and average pooling; those stand against our elementwise
column. A matrix product is ``linear`` inside an ``nn.Linear``, part of a ``convolution`` inside a convolution module,
and anywhere else a ``matrix product``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from resbench.arch.cost import Cost
from resbench.arch.published import PUBLISHED, PublishedCost, agrees
from resbench.costs.fvcore_counts import MACS, OPERATIONS, Counts, fvcore_counts
from resbench.errors import TraceError

TYPES = {
    "Conv2d": "convolution",
    "Linear": "linear",
    "BatchNorm2d": "batch norm",
    "AdaptiveAvgPool2d": "adaptive pooling",
}
"""The kinds of the rows of the fold."""


class Line(NamedTuple):
    """One kind of operator, or a published figure. None where a counter does not apply."""

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
    """The lines of one model, and why a counter has no figure where it has none."""

    model: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...]

    derived: ClassVar = ("agrees",)

    @property
    def agrees(self) -> bool:
        return not any(line.verdict in ("differs", "incomplete") for line in self.lines)


def check(
    model: str,
    fold: Cost | None,
    trace: Cost | None,
    module: nn.Module,
    published: tuple[PublishedCost, ...] = (),
    inputs: tuple[int, ...] | tuple[Tensor, ...] = (),
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
    figures = (*published, *PUBLISHED.get(model, ()))
    for figure in figures if fold or trace else ():
        lines += _published(figure, fold, trace)
    reasons += [f"{figure.source}: {figure.remark}" for figure in figures if figure.remark]
    reasons += dict.fromkeys(remark for _, remarks in found for remark in remarks)
    uncounted = trace.uncounted if trace else ()
    reasons += [f"the tracer has no formula for {name} ({calls} calls)" for name, calls in uncounted]
    return Check(model, tuple(lines), tuple(reasons))


Said = tuple[Line, Sequence[str]]
"""A line, and the remarks that explain it."""


def _by_kind(fold: Cost | None, trace: Cost | None, theirs: Counts | None, alive: Counts | None = None) -> list[Said]:
    """A line for each kind that any counter found, and one for all MACs. ``alive``: fvcore's with what it drops."""
    folded = _by_type(fold) if fold else Counter()
    traced = Counter(dict(trace.kinds)) + _pooled(trace) if trace else Counter()
    found = []
    for kind in (*MACS, *OPERATIONS):
        ours = folded.get(kind, 0) if fold else None, traced.get(kind, 0) if trace else None
        if any(ours) or (theirs and theirs.kinds.get(kind)):
            unit = "MACs" if kind in MACS else "operations"
            found.append(_held(_compared(kind, unit, *ours, None), (kind,), theirs, alive))
    macs = fold.macs if fold else None, trace.macs if trace else None
    total, remarks = _held(_compared("all MACs", "MACs", *macs, None), MACS, theirs, alive)
    if not total.differs and (trace is None or trace.uncounted):
        total = total._replace(verdict="incomplete")
    return [*found, (total, remarks)]


def _held(line: Line, kinds: Sequence[str], theirs: Counts | None, alive: Counts | None) -> Said:
    """Ours with fvcore's figure of these kinds, and a difference explained where fvcore's graph says why."""
    if theirs is None:
        return line, ()
    figure = theirs.of(kinds)
    gaps = [f"fvcore {gap.reason} ({calls} calls)" for gap, calls in theirs.gaps.items() if gap.kind in kinds]
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
        return line, [f"fvcore has no formula for {name} ({calls} calls)" for name, calls in theirs.opaque.items()]
    return whole, gaps


def _compared(kind: str, unit: str, fold: int | None, trace: int | None, fvcore: int | None) -> Line:
    values = {value for value in (fold, trace, fvcore) if value is not None}
    single = [fold, trace, fvcore].count(None) == 2
    return Line(kind, unit, fold, trace, fvcore, "alone" if single else "equal" if len(values) == 1 else "differs")


def _published(figure: PublishedCost, fold: Cost | None, trace: Cost | None) -> Iterator[Line]:
    for what, title, printed in (("params", "parameters", figure.params), ("macs", "MACs", figure.macs)):
        if printed:
            same = agrees(getattr(fold or trace, what), printed)
            verdict = "equal" if same else "explained" if figure.remark else "differs"
            counts = getattr(fold, what, None), getattr(trace, what, None), None
            yield Line(
                f"printed {title} {printed}", "MACs" if what == "macs" else "count", *counts, verdict, figure.source
            )


def _by_type(fold: Cost) -> Counter[str]:
    """MACs, or for kinds without MACs elementwise operations, of the fold."""
    counts: Counter[str] = Counter()
    for row in fold.layers:
        kind = TYPES.get(row.type)
        if kind:
            counts[kind] += row.macs if kind in MACS else row.elementwise
    return counts


def _pooled(trace: Cost) -> Counter[str]:
    """A pooling module reads its whole input; called as a function it is a mean like any other."""
    rows = [row for row in trace.layers if row.type == "AdaptiveAvgPool2d" and row.output[-2:] == (1, 1)]
    return Counter({"adaptive pooling": sum(row.elementwise for row in rows)})
