"""This module holds what `latency --layers` finds: the time of every layer, and how far it can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar, NamedTuple, Self

from resbench.arch.kinds import Kind
from resbench.drawing.charts import Picture
from resbench.errors import Failures
from resbench.progress import Progress
from resbench.result import Result, Where
from resbench.tables.table import Table
from resbench.tables.uncounted import together
from resbench.timing.ran import Ran
from resbench.timing.roofline import Roof
from resbench.timing.traffic import Work
from resbench.workers.environment import Environment
from resbench.workers.workload import Setup

BETWEEN = "between kernels"
"""In a runtime that is not torch's own this row has what passes between kernels."""

NOWHERE = "in no kernel"
"""A layer that multiplies has this type where nothing tells which kernel runs it: its time is in other rows."""

GLUE = "glue"
"""What a module does beside calling others has this type."""


class LayerTime(NamedTuple):
    """One module, or the glue of one, took these seconds in a typical run, and computed and moved this meanwhile."""

    name: str
    type: str
    forward_s: float
    backward_s: float | None
    macs: int
    bytes: int
    """Its operators read and write so many, forward and backward."""
    forward: Work | None = None
    backward: Work | None = None
    """Both passes stand apart; they are None where an earlier version measured."""
    saved_bytes: int | None = None
    """It keeps so many for the backward pass."""
    uncounted: Mapping[str, int] | None = None
    """These operators have no formula for their MACs, and were called so often; None: an earlier version measured."""
    kind: Kind | None = None
    """It is of this kind; None: an earlier version measured."""

    @property
    def seconds(self) -> float:
        """Return the seconds of both passes."""
        return self.forward_s + (self.backward_s or 0.0)


@dataclass(frozen=True)
class LayerTimes:
    """These are the rows of one model, and numbers that say how far they can be trusted."""

    rows: tuple[LayerTime, ...]
    step_s: float | None
    """The optimiser's step took so long; it belongs to no layer."""
    total_s: float
    """A typical instrumented run took so long, measured around the rows."""
    plain_s: float
    """A typical run without instruments took so long, of those in between."""
    overheads: tuple[float, ...]
    """Each pair has its instrumented / plain - 1."""
    interrupted: bool = False
    """Ctrl-C ended it: the rows are of fewer pairs of runs than are due."""
    typical: bool = True
    """The means are over the middle half of the runs; else over all, for the runtime tells no single one's times."""

    derived: ClassVar = ("residual", "overhead")

    @property
    def residual(self) -> float:
        """Return what the rows miss of the total, as a share of it."""
        return 1 - (sum(row.seconds for row in self.rows) + (self.step_s or 0.0)) / self.total_s

    @property
    def uncounted(self) -> dict[str, int]:
        """Return the operators of all rows without a formula for their MACs, with their calls."""
        return together(row.uncounted for row in self.rows)

    @property
    def overhead(self) -> float:
        """Return the median over the pairs."""
        return median(self.overheads)


@dataclass(frozen=True, repr=False)
class Layers(Result):
    """This holds the layers of one network."""

    model: str
    times: LayerTimes
    roof: Roof | None
    """It is None where there is none of what ran."""
    setup: Setup
    environment: Environment
    ran: Ran | None = None
    """This says what really ran; it is None where an earlier version measured."""
    others: float | None = None
    """Other programs took so many of the cores meanwhile; None: nothing says so, or an earlier version measured."""

    kind: ClassVar = "latency --layers"
    of_one: ClassVar = True
    heading: ClassVar = (
        "layers",
        "Layers",
        "The time of every layer, beside what the machine's ceilings allow. The rows sum to the whole.",
    )
    derived: ClassVar = ("layers", "differences")
    undrawn: ClassVar = "no layer has both FLOPs and bytes, or there is no roof of what ran"
    left_out: ClassVar = "what the forward and the backward pass compute and move apart"

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.timing.layers.measure import layers

        return layers(models[0], batch=where.batch, device=where.device, progress=progress)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        rows = [row for row in document["layers"] if row["forward_s"] is not None]
        return {**document, "times": {**document, "rows": rows}}

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it."""
        return self.times.interrupted

    @property
    def differences(self) -> list[str]:
        """Say in words where what ran is not what was asked for."""
        return self.ran.differences(self.setup) if self.ran else []

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Return the rows of the table by the keys of its columns."""
        records = [_record(row, self.times, self.roof) for row in self.times.rows]
        step_s = self.times.step_s
        if step_s is not None:
            step = {"name": "optimizer", "type": "step", "backward_s": step_s, "share": step_s / self.times.total_s}
            records.append({**dict.fromkeys(records[0]), **step})
        return records

    def models(self) -> list[str]:
        return [self.model]

    def only(self, models: Sequence[str]) -> Self | None:
        return self if self.model in ([models] if isinstance(models, str) else models) else None

    def tables(self) -> list[Table]:
        from resbench.timing.layers.table import layer_table

        return [layer_table(self)]

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        return {self.model: self.times.uncounted}

    def pictures(self) -> list[Picture]:
        from resbench.timing.layers.chart import roofline

        return [picture] if (picture := roofline(self)) else []


def _record(row: LayerTime, times: LayerTimes, roof: Roof | None) -> dict[str, Any]:
    seconds, flops = row.seconds, 2 * row.macs
    works = seconds > 0 and row.bytes > 0
    judged = works and not row.uncounted
    return {
        "name": row.name,
        "type": row.type,
        "kind": row.kind,
        "forward_s": row.forward_s,
        "backward_s": row.backward_s,
        "share": seconds / times.total_s,
        "macs": row.macs,
        "bytes": row.bytes,
        "intensity": flops / row.bytes if works and flops else None,
        "flops_per_s": flops / seconds if works and flops else None,
        "bytes_per_s": row.bytes / seconds if works else None,
        "of_roof": roof.attainable_s(flops, row.bytes) / seconds if judged and roof else None,
        "bound": roof.bound(flops, row.bytes) if judged and roof else None,
        "saved_bytes": row.saved_bytes,
        "uncounted": None if row.uncounted is None else dict(row.uncounted),
    }
