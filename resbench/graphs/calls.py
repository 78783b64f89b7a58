"""A node runs on tensors: a formula tells its MACs and elementwise operations of their shapes."""

from collections.abc import Callable
from typing import NamedTuple

from resbench.arch.kinds import Kind
from resbench.errors import ShapeError
from resbench.graphs.graph import Flow, GraphNode
from resbench.units import shape_text

Work = tuple[int, int]
"""Work is MACs, and elementwise operations."""


class Call(NamedTuple):
    """A node runs on these tensors; one that is left out is None."""

    node: GraphNode
    inputs: tuple[Flow | None, ...]
    outputs: tuple[Flow | None, ...]

    def input(self, place: int) -> Flow:
        """The tensor at this place, which the operator needs."""
        found = self.inputs[place]
        assert found is not None
        return found

    def has(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] is not None

    @property
    def out(self) -> Flow:
        """Its first output."""
        found = self.outputs[0]
        assert found is not None
        return found

    @property
    def slid(self) -> Flow:
        """Its first output, where a window slides over the first input. Raises ShapeError for one that is too small."""
        found, given = self.out, self.input(0)
        if min(found.sides) < 1 <= min(given.sides):
            raise ShapeError(f"{self.title} needs a larger input than {shape_text(given.sides)}: nothing is left of it")
        return found

    @property
    def title(self) -> str:
        """It is called so where something is wrong with it: ``/layer1/conv1/Conv``."""
        return self.node.name or self.node.operator

    def number(self, attribute: str, otherwise: int) -> int:
        return int(self.node.attributes.get(attribute, otherwise))


Formula = Callable[[Call], Work]


class Operator(NamedTuple):
    """An operator is counted by this formula."""

    formula: Formula
    kind: Kind
    learned: frozenset[int] = frozenset()
    """At these places its inputs are weights, where the file holds them."""
    held: frozenset[int] = frozenset()
    """At these places they are what is held and not learned: statistics, scales."""


def at(*places: int) -> frozenset[int]:
    """Inputs stand at these places."""
    return frozenset(places)
