"""The outcome of `flops --verify` as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.costs.check import Check

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


def check_table(checks: Sequence[Check]) -> Table:
    """One row for each kind of operator, the parameters, and each published figure."""
    rows = [
        (check.model, line.kind, line.verdict, line.fold, line.trace, line.fvcore, line.unit, line.source)
        for check in checks
        for line in check.lines
    ]
    remarks = [f"{check.model}: {remark}." for check in checks for remark in check.remarks]
    return Table(COLUMNS, rows, notes=(*remarks, *NOTES))
