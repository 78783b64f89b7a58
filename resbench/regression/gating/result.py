"""`gate` finds counters that changed, and the wall time of both sides as a duel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from resbench.regression.duel import Duel
from resbench.regression.expectations import CounterChange, Excess, Incomparable
from resbench.regression.gating.table import change_table, time_table
from resbench.result import Result
from resbench.tables.table import Table


@dataclass(frozen=True, repr=False)
class Gate(Result):
    """A gate holds what a run found, as far as it got."""

    base: str
    head: str
    changes: tuple[CounterChange, ...] = ()
    """These counters differ, and the head's committed expectations do not explain it."""
    explained: tuple[CounterChange, ...] = ()
    excesses: tuple[Excess, ...] = ()
    benchmarks: tuple[str, ...] = ()
    incomparable: tuple[Incomparable, ...] = ()
    """These belong to another runtime than is here, or another instruction set."""
    notes: tuple[str, ...] = ()
    duel: Duel | None = None
    interrupted: str = ""
    """This was done when Ctrl-C ended it, and no time was judged; it is empty where all was."""

    kind: ClassVar = "gate"
    derived: ClassVar = ("verdict",)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        duel = None
        if "rounds" in document:
            judged = {
                one["benchmark"]: {**one, "detectable": one["detectable"] or "Infinity"} for one in document["judged"]
            }
            judgement = {"benchmarks": judged, "invalid": document["invalid"], "final": True} if judged else None
            duel = {**document, "rounds": [one["times"] for one in document["rounds"]], "judgement": judgement}
        return {**document, "excesses": document["over_limits"], "duel": duel}

    @property
    def verdict(self) -> str:
        """Return the verdict on the change; that of the counters comes first."""
        if self.changes or self.excesses:
            return "REGRESSED"
        if self.interrupted:
            return "INTERRUPTED"
        if self.incomparable:
            return "INCOMPARABLE"
        judgement = self.duel.judgement if self.duel else None
        return judgement.verdict if judgement else "PASS"

    @property
    def status(self) -> int:
        """Return 0 where nothing is against it, 1 where it regressed, 2 where nothing can be said, 130 after Ctrl-C."""
        if self.interrupted:
            return 130
        return {"PASS": 0, "IMPROVED": 0, "REGRESSED": 1}.get(self.verdict, 2)

    def tables(self) -> list[Table]:
        return [change_table(self, whole=False), *([time_table(self.duel)] if self.duel else [])]

    def flat(self) -> Table:
        """Return the table of what is against it."""
        if self.duel and not self.changes and not self.excesses:
            return time_table(self.duel)
        return change_table(self)
