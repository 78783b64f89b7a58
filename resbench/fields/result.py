"""`field` finds the receptive fields of networks, layer by layer, and how much of them the networks use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Literal, NamedTuple

from resbench.arch.algebra import Shape
from resbench.drawing.charts import Picture
from resbench.errors import Failures
from resbench.fields.reading import LayerField
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Where
from resbench.tables.table import Table

MASS = 0.9545
"""The effective field holds this share of the gradient: as much as two standard deviations of a Gaussian (Luo et al.
2016)."""

Per = Literal["model", "layer"]


class Effective(NamedTuple):
    """The gradient at the centre of a layer's output spreads over the input like this."""

    layer: str
    sides: tuple[int, ...]
    """For each seed, the least centred square with ``MASS`` of the squared gradient has sides of so many pixels."""
    images: int
    """Each seed drew so many random inputs, and signs of the gradient."""
    centre: tuple[int, int]
    """The square stands around this pixel (row, column)."""
    cells: tuple[tuple[float, ...], ...]
    """The input in cells, and which share of the squared gradient each has, as the mean over the seeds."""
    weights: str = "weights as initialised"

    @property
    def side(self) -> float:
        """The median over the seeds."""
        return float(median(self.sides))


@dataclass(frozen=True)
class Field:
    """The receptive fields of one network's layers stand in running order."""

    model: str
    input: Shape
    layers: tuple[LayerField, ...]
    effective: Effective | None = None

    @property
    def last(self) -> LayerField | None:
        """The last layer whose output is a map of positions; None where there is none, or nobody knows."""
        if self.layers and self.layers[-1].unknown:
            return None
        return next((layer for layer in reversed(self.layers) if layer.positions), None)

    @property
    def size(self) -> tuple[int, ...] | None:
        """So many pixels along each axis are in the field of a position of the last map."""
        return tuple(span.size for span in self.last.window or ()) if self.last else None

    @property
    def passes(self) -> LayerField | None:
        """The first layer whose field is larger than the input along each axis."""
        sides = self.input[2:]
        return next((one for one in self.layers if one.positions and _covers(one, sides)), None)

    @property
    def gate(self) -> LayerField | None:
        """From this layer on, with its gates, a position sees the whole input."""
        return next((layer for layer in self.layers if layer.gated), None)

    @property
    def misaligned(self) -> list[str]:
        """At these layers paths join whose middles differ."""
        return [layer.name for layer in self.layers if layer.misaligned]

    @property
    def unknown(self) -> list[str]:
        """From these layers on nobody knows the field."""
        return list(dict.fromkeys(layer.unknown for layer in self.layers if layer.unknown))


def _covers(layer: LayerField, sides: Sequence[int]) -> bool:
    return all(span.size > side for span, side in zip(layer.window or (), sides, strict=True))


@dataclass(frozen=True, repr=False)
class Fields(Result):
    """The receptive fields of networks stand in the order in which they were asked for."""

    fields: tuple[Field, ...]

    kind: ClassVar = "field"
    metrics: ClassVar = {"field": Metric("field", "receptive field", "exact", 0)}
    members: ClassVar = "fields"
    heading: ClassVar = (
        "field",
        "Receptive fields",
        "How many pixels of the input a position of each layer sees, and how many of them its gradient reaches.",
    )

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.fields.measure import field

        return field(models, failures=failures, progress=progress)

    def tables(self, per: Per = "model") -> list[Table]:
        """One table has a row for each model; or one for each model has a row for each layer."""
        from resbench.fields.table import layer_table, model_table

        return [model_table(self.fields)] if per == "model" else [layer_table(one) for one in self.fields]

    def figures(self) -> Iterator[Figure]:
        for one in self.fields:
            if one.size:
                remark = f"of {one.last.name}" if one.last else ""
                yield Figure(one.model, "field", max(one.size), remark=remark)

    def pictures(self) -> list[Picture]:
        from resbench.fields.chart import by_layer, spread

        return [by_layer(self.fields), *(spread(one) for one in self.fields if one.effective)]

    def cautions(self, models: Sequence[str]) -> list[str]:
        from resbench.fields.table import cautions

        return [line for one in self.fields for line in cautions(one) if one.model in models]
