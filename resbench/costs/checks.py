"""`flops --verify` finds the counters side by side, for each model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from resbench.costs.check import Check
from resbench.result import Result
from resbench.tables.table import Column, Table

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
