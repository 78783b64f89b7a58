"""Three counters, one truth: the fold, the tracer and fvcore side by side, per kind of operator.

fvcore (https://github.com/facebookresearch/fvcore) runs the model for real and counts from its own formulas. It also
counts batch normalisation, layer normalisation and average pooling; those stand against our elementwise column.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resbench.arch.cost import Cost
from resbench.arch.published import PUBLISHED, Figure, agrees
from resbench.errors import TraceError, first_line, foreign

KINDS = {
    "conv": "convolution",
    "linear": "linear",
    "addmm": "linear",
    "mm": "linear",
    "matmul": "matrix product",
    "bmm": "matrix product",
    "baddbmm": "matrix product",
    "einsum": "matrix product",
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "group_norm": "group norm",
    "adaptive_avg_pool2d": "adaptive pooling",
}
"""fvcore's names, and the kinds under which all three are compared."""

TYPES = {
    "Conv2d": "convolution",
    "Linear": "linear",
    "BatchNorm2d": "batch norm",
    "AdaptiveAvgPool2d": "adaptive pooling",
}
"""The same for the rows of the fold."""

PASSED_OVER = {
    "convolution": ("conv",),
    "linear": ("linear", "lstm", "gru", "rnn"),
    "matrix product": ("attention", "mm", "mv", "dot", "lstm", "gru", "rnn", "::bilinear"),
    "attention": ("attention",),
}
"""Where operators that fvcore does not know end up, by parts of their names: fused attention is taken apart."""

MACS = ("convolution", "linear", "matrix product", "attention")


class Line(NamedTuple):
    """One kind of operator, or a published figure. None where a counter does not apply."""

    kind: str
    unit: str
    fold: int | None
    trace: int | None
    fvcore: int | None
    verdict: str
    """``equal``, ``alone`` (one counter applies), ``explained`` (a misprint, a rounding: a remark says which),
    ``incomplete`` (operators without a formula ran) or ``differs``."""
    source: str = ""

    @property
    def differs(self) -> bool:
        return self.verdict == "differs"


@dataclass(frozen=True)
class Check:
    """The lines of one model, and what fvcore could not count."""

    model: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        return not any(line.verdict in ("differs", "incomplete") for line in self.lines)


def check(
    model: str,
    fold: Cost | None,
    trace: Cost,
    module: nn.Module,
    published: tuple[Figure, ...] = (),
    inputs: tuple[int, ...] | tuple[Tensor, ...] = (),
) -> Check:
    """Hold every counter that applies against the others. ``module`` has real weights on the CPU: fvcore runs it,
    on ``inputs``, a shape or tensors (by default the shape that was traced)."""
    folded = _by_type(fold) if fold else None
    traced = {**dict(trace.kinds), "adaptive pooling": _pooled(trace)}
    theirs, missed, slack = _fvcore(module, inputs or trace.input)
    lines = []
    for kind in (*MACS, "batch norm", "layer norm", "group norm", "adaptive pooling"):
        values = (folded or {}).get(kind, 0 if folded else None), traced.get(kind, 0), theirs.get(kind, 0)
        if any(values):
            unit = "MACs" if kind in MACS else "operations"
            line = _compared(kind, unit, *values[:2], None if _missing(kind, missed) else values[2])
            lines.append(_rounded(line, slack) if kind == "matrix product" else line)
    partly = any(_missing(kind, missed) for kind in MACS)
    theirs_all = None if partly else sum(theirs.get(kind, 0) for kind in MACS)
    total = _rounded(_compared("all MACs", "MACs", fold.macs if fold else None, trace.macs, theirs_all), slack)
    lines.append(total._replace(verdict="incomplete") if trace.uncounted and not total.differs else total)
    lines.append(_compared("parameters", "count", fold.params if fold else None, trace.params, _parameters(module)))
    figures = (*published, *PUBLISHED.get(model, ()))
    for figure in figures:
        lines += _published(figure, fold, trace)
    remarks = [f"{figure.source}: {figure.remark}" for figure in figures if figure.remark]
    products = [(name, calls) for name, calls in missed if any(_missing(kind, [(name, calls)]) for kind in MACS)]
    remarks += [f"fvcore has no formula for {name} ({calls} calls)" for name, calls in products]
    remarks += ["fvcore reads einsum off a report of four digits"] if slack else []
    remarks += [f"the tracer has no formula for {name} ({calls} calls)" for name, calls in trace.uncounted]
    return Check(model, tuple(lines), tuple(remarks))


def _compared(kind: str, unit: str, fold: int | None, trace: int | None, fvcore: int | None) -> Line:
    values = {value for value in (fold, trace, fvcore) if value is not None}
    single = [fold, trace, fvcore].count(None) == 2
    return Line(kind, unit, fold, trace, fvcore, "alone" if single else "equal" if len(values) == 1 else "differs")


def _rounded(line: Line, slack: int) -> Line:
    """Is the difference no more than what fvcore's rounding of einsum makes?"""
    close = line.differs and line.trace is not None and line.fvcore is not None
    close = close and line.fold in (None, line.trace) and abs(line.trace - line.fvcore) <= slack  # type: ignore[operator]
    return line._replace(verdict="explained") if close else line


def _published(figure: Figure, fold: Cost | None, trace: Cost) -> Iterator[Line]:
    for what, title, printed in (("params", "parameters", figure.params), ("macs", "MACs", figure.macs)):
        if printed:
            same = agrees(getattr(fold or trace, what), printed)
            verdict = "equal" if same else "explained" if figure.remark else "differs"
            counts = getattr(fold, what, None), getattr(trace, what), None
            yield Line(
                f"printed {title} {printed}", "MACs" if what == "macs" else "count", *counts, verdict, figure.source
            )


def _by_type(fold: Cost) -> Mapping[str, int]:
    """MACs, or for kinds without MACs elementwise operations, of the fold."""
    counts: Counter[str] = Counter()
    for row in fold.layers:
        kind = TYPES.get(row.type)
        if kind:
            counts[kind] += row.macs if kind in MACS else row.elementwise
    return counts


def _parameters(module: nn.Module) -> int:
    from fvcore.nn import parameter_count

    return int(parameter_count(module)[""])


def _fvcore(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Mapping[str, int], list[tuple[str, int]], int]:
    """fvcore's counts by kind, the operators that it passed over, and by how much its einsum may be rounded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        if isinstance(inputs[0], int):
            inputs = (torch.zeros(inputs, dtype=next((p.dtype for p in module.parameters()), torch.float32)),)
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with foreign(TraceError, lambda e: f"fvcore could not run the model: {type(e).__name__}: {first_line(e)}"):
                analysis: Any = FlopCountAnalysis(module.eval(), inputs)
                analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
                with torch.no_grad():
                    counts = analysis.by_operator()
                    missed = sorted(analysis.unsupported_ops().items())
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[KINDS.get(name, name)] += int(count)
    return kinds, missed, int(counts["einsum"] / 1000) + 1 if counts.get("einsum") else 0


def _pooled(trace: Cost) -> int | None:
    """A pooling module reads its whole input; called as a function it is a mean like any other, and stays blank."""
    return sum(row.elementwise for row in trace.layers if row.type == "AdaptiveAvgPool2d") or None


def _missing(kind: str, missed: list[tuple[str, int]]) -> bool:
    """Did fvcore pass over operators of this kind, for want of a formula? Then it has no figure for it."""
    return any(word in name for word in PASSED_OVER.get(kind, ()) for name, _ in missed)
