"""`flops` finds the costs of networks, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resbench.arch.rows import Cost, Level
from resbench.costs.chart import by_layer
from resbench.costs.table import complex_note, conventions, cost_table, forked, remarked
from resbench.drawing.charts import Picture
from resbench.errors import Failures
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Section, Where
from resbench.tables.table import Table
from resbench.units import of_batch


@dataclass(frozen=True, repr=False)
class Costs(Result):
    """The costs of networks stand in the order in which they were asked for."""

    costs: tuple[Cost, ...]

    kind: ClassVar = "flops"
    metrics: ClassVar = {
        "params": Metric("params", "params", "exact", -1),
        "macs": Metric("macs", "MACs", "exact", -1),
        "elementwise": Metric("elementwise", "elementwise", "count", -1),
        "activations": Metric("activations", "activations", "count", -1),
    }
    members: ClassVar = "costs"
    heading: ClassVar = (
        "cost",
        "Cost",
        "Parameters, multiply-accumulates and what else a run at inference takes, counted from the structure.",
    )
    derived: ClassVar = ("convention",)
    left_out: ClassVar = "the MACs by kind of operator"

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.costs.measure import flops

        return flops(models, batch=where.batch, failures=failures, progress=progress)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "costs": [{**model, "uncounted": [*model.get("uncounted", {}).items()]} for model in document["models"]]
        }

    @classmethod
    def joined(cls, results: Sequence[Self]) -> Sequence[Self]:
        """All stand in one table; of the same network and input the last one stands."""
        return [cls(tuple({(one.model, one.input): one for result in results for one in result.costs}.values()))]

    @property
    def convention(self) -> str:
        """It says what a MAC is, and what else the numbers mean."""
        return " ".join(conventions(self.costs))

    def tables(self, per: Level = "model") -> list[Table]:
        """One table has a row for each model, stage, block or layer."""
        return [cost_table(self.costs, per)]

    def figures(self) -> Iterator[Figure]:
        for one in self.costs:
            batch = of_batch(one.input[0]) if one.input else ""
            yield Figure(one.model, "params", one.params)
            for metric in ("macs", "elementwise", "activations"):
                value = getattr(one, metric)
                if value is not None:
                    yield Figure(one.model, metric, value, None, batch, least=one.is_least)

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        return {one.model: dict(one.uncounted) for one in self.costs}

    def cautions(self, models: Sequence[str]) -> list[str]:
        return [*complex_note(self.costs), *remarked(self.costs), *forked(self.costs)]

    def pictures(self) -> list[Picture]:
        return [by_layer(one) for one in self.costs]

    def sections(self) -> list[Section]:
        from resbench.costs.structure import diagram

        tables = [*self.tables(), *(cost_table(one, per) for one in self.costs for per in ("stage", "layer"))]
        structure = Section(
            "structure",
            "Structure",
            "Blocks and shortcuts, equal neighbours folded; a dashed shortcut changes the shape.",
            drawings={one.model: diagram(one) for one in self.costs},
        )
        return [Section(*self.heading, (), tables, self.pictures()), structure]
