"""Costs as tables and documents: one network after the other, or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resbench.arch.cost import Cost, Level, Row
from resbench.tables.table import Column, Table
from resbench.units import CONVENTION, shape_text

COLUMNS = (
    Column("params", "params", "exact"),
    Column("macs", "MACs", "exact"),
    Column("flops", "FLOPs", "count"),
    Column("elementwise", "elementwise", "count"),
    Column("activations", "activations", "count"),
    Column("param_bytes", "weights", "bytes"),
    Column("activation_bytes", "outputs", "bytes"),
)
"""What one row of a cost report says, whatever it stands for."""


def cost_table(costs: Cost | Sequence[Cost], per: Level = "model") -> Table:
    """The costs as rows: one a model, or every group of every model with its share of that model's MACs."""
    if isinstance(costs, Cost):
        costs = [costs]
    if per == "model":
        columns = (Column("model", "model"), *COLUMNS[:3], Column("input", "input", "shape"), *COLUMNS[3:])
        numbers = [(c, _numbers(c.total)) for c in costs]
        lines = [(c.model, *n[:3], c.input, *n[3:]) for c, n in numbers]
        return Table(columns, lines, notes=CONVENTION, warnings=[*uncounted(costs), *made(costs)])
    several = len(costs) > 1
    first = (Column("model", "model"),) if several else ()
    columns = (
        *first,
        Column("name", per),
        Column("type", "type"),
        Column("output", "output", "shape"),
        *COLUMNS[:2],
        Column("share", "MACs", "share"),
        *COLUMNS[2:],
    )
    rows: list[tuple[Any, ...]] = []
    totals: list[tuple[Any, ...]] = []
    for c in costs:
        own = (c.model,) if several else ()
        whole = c.macs
        for row in (*c.per(per), c.total):
            params, macs, *rest = _numbers(row)
            share = row.macs / whole if whole else None
            line = (row.name, row.type, row.output or None, params, macs, share, *rest)
            rows.append((*own, *line))
        total = rows.pop()
        totals.append((*own, "total", "", *total[len(own) + 2 :]))
    title = "" if several else f"{costs[0].model}, input {shape_text(costs[0].input)}"
    return Table(columns, rows, title, CONVENTION, totals, [*uncounted(costs), *made(costs)])


def uncounted(costs: Sequence[Cost]) -> list[str]:
    """A line for each network in which operators ran that have no formula."""
    return [
        f"{c.model}: not counted: {', '.join(f'{name} ({calls} calls)' for name, calls in c.uncounted)}."
        for c in costs
        if c.uncounted
    ]


def made(costs: Sequence[Cost]) -> list[str]:
    """A line for each network that makes layers while it runs: a check of its parameters beforehand lacks them."""
    return [f"{c.model}: made in the forward, and counted: {', '.join(c.made)}." for c in costs if c.made]


def _numbers(row: Row) -> tuple[int | None, ...]:
    values = row.params, row.macs, row.flops, row.elementwise, row.activations
    return (*values, row.param_bytes, row.activation_bytes)


def cost_document(costs: Sequence[Cost]) -> dict[str, Any]:
    """The JSON of `flops`: totals and every layer of every model."""
    return {"schema": 1, "command": "flops", "convention": " ".join(CONVENTION), "models": [_record(c) for c in costs]}


def _record(c: Cost) -> dict[str, Any]:
    keys = [column.key for column in COLUMNS]
    return {
        "model": c.model,
        "source": c.source,
        "input": list(c.input),
        **dict(zip(keys, _numbers(c.total), strict=True)),
        "uncounted": dict(c.uncounted),
        "made": list(c.made),
        "layers": [
            {"name": r.name, "type": r.type, "output": list(r.output), **dict(zip(keys, _numbers(r), strict=True))}
            for r in c.layers
        ],
    }
