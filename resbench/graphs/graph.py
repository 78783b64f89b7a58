"""A graph is a value: nodes in running order, the tensors that flow between them, and what the file holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from resbench.arch.algebra import Shape

STANDARD = frozenset(("", "ai.onnx"))
"""ONNX's own operators are of this domain, which has two names."""

MICROSOFT, BLOCKED = "com.microsoft", "com.microsoft.nchwc"
"""ONNX Runtime writes operators of its own: fused ones, and those whose channels lie in blocks."""

BITS: Mapping[str, int] = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    "complex128": 128,
}
"""An element of these types has so many bits; of any other, all of whose names say 8 or bool, it has 8."""


class Unknown(Exception):
    """A formula needs a shape that nobody knows before the graph runs."""


class Flow(NamedTuple):
    """A tensor flows from one node to others, or is held by the file. Its shape is None where values decide it."""

    name: str
    shape: Shape | None
    dtype: str = "float32"

    @property
    def sides(self) -> Shape:
        """The shape, where it is known. Raises Unknown."""
        if self.shape is None:
            raise Unknown
        return self.shape

    @property
    def size(self) -> int:
        """It has so many elements. Raises Unknown."""
        return prod(self.sides)

    @property
    def nbytes(self) -> int:
        """So many bytes hold them. Raises Unknown."""
        return -(-self.size * BITS.get(self.dtype, 8) // 8)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("float", "bfloat", "complex"))


@dataclass(frozen=True)
class GraphNode:
    """One operator stands at one place of a graph, and was written under these names."""

    name: str
    operator: str
    """It is called so in ONNX's own domain, and ``domain.Name`` in another: ``Conv``, ``com.microsoft.FusedConv``."""
    inputs: tuple[str, ...]
    """An input that is left out is empty."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    """torch's exporter wrote the paths of the modules around it, the innermost last."""
    classes: tuple[str, ...] = ()
    """And their classes."""
    bodies: Mapping[str, "Graph"] = field(default_factory=dict)
    """Control flow holds graphs: ``then_branch``, ``else_branch``, ``body``."""


@dataclass(frozen=True)
class Graph:
    """Nodes run in this order, for inputs of known shapes."""

    inputs: tuple[Flow, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    flows: Mapping[str, Flow]
    """Every tensor by its name; in a body those around it too."""
    held: Mapping[str, Flow]
    """These the file holds: weights, constants."""
    settled: frozenset[str] = frozenset()
    """These it calculates from what it holds and from shapes, and they are known already."""
    inline: frozenset[str] = frozenset()
    """These tensors that it holds stand in nodes, as constants of a formula do."""
    values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """The numbers of small ones, which may decide shapes and how often a loop goes round, in one row."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """torch's exporter says which tensors the module held, each a ``parameter`` or a ``buffer``; some may be gone."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """The operator set of each domain."""

    def everywhere(self) -> Iterator[GraphNode]:
        """Yield its nodes, and those of the bodies in them."""
        for node in self.nodes:
            yield node
            for body in node.bodies.values():
                yield from body.everywhere()
