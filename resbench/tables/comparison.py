"""Networks side by side: each figure beside its ratio to the first network's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resbench.arch.cost import Cost
from resbench.tables.costs import uncounted
from resbench.tables.table import Column, Table
from resbench.units import CONVENTION

if TYPE_CHECKING:
    from resbench.measure.environment import Environment
    from resbench.measure.latency import Latency
    from resbench.measure.roofline import Roof

METRICS = {
    "params": Column("params", "params", "exact"),
    "macs": Column("macs", "MACs", "exact"),
    "elementwise": Column("elementwise", "elementwise", "count"),
    "activations": Column("activations", "activations", "count"),
    "latency": Column("latency_s", "latency", "seconds"),
}
"""What networks are compared by; all but the latency unless asked."""

COUNTED = tuple(METRICS)[:-1]


def comparison(
    costs: Sequence[Cost],
    metrics: Sequence[str] = COUNTED,
    latencies: Sequence[Latency] = (),
    roof: Roof | None = None,
    here: Environment | None = None,
) -> Table:
    """One row a model, in the order of the metrics. With latencies: what bounds each by the machine's ceilings."""
    columns = [Column("model", "model")]
    for metric in metrics:
        column = METRICS[metric]
        columns += [column, Column(f"{column.key}_ratio", "rel.", "ratio")]
    if roof:
        columns += [Column("half_width", "95% +-", "share"), Column("intensity", "FLOP/B", "rate")]
        columns += [Column("of_roof", "of roof", "share"), Column("bound", "bound by")]
    columns.append(Column("input", "input", "shape"))
    values = [
        [_value(metric, c, latencies[i] if latencies else None) for metric in metrics] for i, c in enumerate(costs)
    ]
    rows = []
    for i, c in enumerate(costs):
        cells: list[Any] = [c.model]
        for value, base in zip(values[i], values[0], strict=True):
            cells += [value, value / base if base else None]
        rows.append([*cells, *(_roofline(latencies[i], roof) if roof else ()), c.input])
    notes = [_sentence(i, costs, latencies, roof) for i in range(1, len(costs)) if costs[i].macs and costs[0].macs]
    if roof and here:
        notes += [
            "Of roof: the least time that the ceilings allow for these FLOPs and bytes, as a share of the time taken.",
            roof.line,
            here.note,
        ]
    return Table(columns, rows, notes=(*notes, *CONVENTION), warnings=uncounted(costs))


def _value(metric: str, c: Cost, latency: Latency | None) -> Any:
    return latency.median_s if metric == "latency" and latency else getattr(c, metric)


def _roofline(one: Latency, roof: Roof) -> tuple[Any, ...]:
    flops, moved, half = 2 * one.readings[0].macs, one.readings[0].bytes, one.half_width_s
    least_s, bound = _allowed(one, roof)
    return None if half is None else half / one.median_s, flops / moved, least_s / one.median_s, bound


def _allowed(one: Latency, roof: Roof) -> tuple[float, str]:
    """The least seconds that the ceilings allow, and the ceiling that it is."""
    work = 2 * one.readings[0].macs, one.readings[0].bytes
    return roof.attainable_s(*work), roof.bound(*work)


def _sentence(i: int, costs: Sequence[Cost], latencies: Sequence[Latency], roof: Roof | None) -> str:
    """``conv5x5_reduced: 9.68x fewer MACs than conv5x5_direct, 3.1x less time; the roof allows ...``"""
    c, base = costs[i], costs[0]
    if c.macs == base.macs:
        said = f"{c.model}: as many MACs as {base.model}"
    else:
        said = f"{c.model}: {_factor(c.macs / base.macs, 'more', 'fewer')} MACs than {base.model}"
    if latencies and roof:
        (mine, bound), (theirs, other) = _allowed(latencies[i], roof), _allowed(latencies[0], roof)
        said += f", {_factor(latencies[i].median_s / latencies[0].median_s, 'more', 'less')} time"
        said += f"; the roof allows {_factor(mine / theirs, 'more', 'less')} ({bound} bound, {other} bound)"
    return f"{said}."


def _factor(ratio: float, more: str, fewer: str) -> str:
    return f"{ratio:.2f}x {more}" if ratio > 1 else f"{1 / ratio:.2f}x {fewer}"


def comparison_document(costs: Sequence[Cost], table: Table) -> dict[str, Any]:
    """The rows with their ratios; `resbench flops --format json` has the layers."""
    return {
        "schema": 1,
        "command": "compare",
        "convention": " ".join(CONVENTION),
        "baseline": costs[0].model,
        "models": table.records(),
    }
