"""The question `show` asks for the structure of a network, as its paper's table would write it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture
from resbench.arch.rows import Cost
from resbench.arch.structure import DescribedBlock, describe
from resbench.costs.measure import Given, cost
from resbench.costs.result import Costs
from resbench.drawing.diagram import draw
from resbench.drawing.tree import draw_tree
from resbench.errors import OptionError, ResbenchError
from resbench.given import public
from resbench.networks.inputs import Input, parse_input
from resbench.networks.load import Model, load
from resbench.networks.name import ModelName
from resbench.result import Result
from resbench.tables.table import Column, Table
from resbench.units import shape_text

COLUMNS = (
    Column("name", "block"),
    Column("repeat", "x", "exact"),
    Column("output", "output", "shape"),
    Column("params", "params", "exact"),
    Column("macs", "MACs", "exact"),
    Column("structure", "structure"),
)


@dataclass(frozen=True, repr=False)
class Structure(Result):
    """It holds the blocks of one network, equal neighbours folded."""

    model: str
    source: str
    input: tuple[int, ...]
    blocks: tuple[DescribedBlock, ...]

    kind: ClassVar = "show"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return document

    def models(self) -> list[str]:
        return [self.model]

    def tables(self) -> list[Table]:
        rows = [[getattr(block, column.key) for column in COLUMNS] for block in self.blocks]
        params, macs = sum(block.params for block in self.blocks), sum(block.macs for block in self.blocks)
        title = f"{self.model}, input {shape_text(self.input)} ({self.source})"
        return [Table(COLUMNS, rows, title, footer=[("total", None, None, params, macs, "")])]


@public
def show(model: Given, input: Input = None) -> Structure | Costs:
    """A network that has an expression gives its structure, any other its costs. Raises as ``cost`` does."""
    found = _found(model, input)
    if not isinstance(found, Architecture):
        return Costs((cost(found, input),))
    return Structure(found.name, found.source, (1, *found.input), tuple(describe(found)))


@public
def drawing(model: Given, input: Input = None) -> str:
    """The network is drawn as SVG: an expression by block diagrams, any other by its module tree."""
    found = _found(model, input)
    return draw(found) if isinstance(found, Architecture) else draw_tree(cost(found, input))


def diagram(cost: Cost) -> str:
    """The network behind a cost, which may be stored, is drawn as SVG that can stand in a page several times over.

    A network of the catalog gives its block diagrams, any other its module tree.
    """
    return diagram_of(cost.model) or draw_tree(cost)


def diagram_of(stored: str) -> str:
    """A network that was stored under this name is drawn where the catalog has it; else there is nothing."""
    try:
        name = ModelName.stored(stored)
        return draw(name.architecture()) if name.catalogued else ""
    except ResbenchError:  # this version does not know the name
        return ""


def _found(model: Given, input: Input) -> Given:
    """A model gives its architecture where it has one, else itself."""
    if isinstance(model, str | ModelName):
        model = load(model, input, device="meta")
    if isinstance(model, Node):
        if input is None:
            raise OptionError("an expression has no input of its own: expected input=(C, H, W), received none")
        return Architecture("", model, parse_input(input), "expression")
    if isinstance(model, Architecture) and input is not None:
        return replace(model, input=parse_input(input))
    return model.architecture or model if isinstance(model, Model) else model
