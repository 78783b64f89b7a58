"""What `flops --verify` finds: the counters side by side, for each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from resbench.costs.check import Check
from resbench.costs.check_table import check_table
from resbench.results import Result
from resbench.tables.table import Table


@dataclass(frozen=True, repr=False)
class Checks(Result):
    """Every counter that applies to a model, held against the others and against what is published."""

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
        return [check_table(self.checks)]
