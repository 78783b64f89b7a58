"""What is selected by kind or by name is replaced; all else stays as it was, names included.

>>> from resbench.arch import GELU, Identity, ReLU, architecture
>>> smooth = select(architecture("resnet50"), ReLU).replace(GELU())
>>> open_ended = select(architecture("resnet50"), "*.bn3").replace(Identity())
>>> smooth.cost().macs, open_ended.cost().params - smooth.cost().params
(4089184256, -30208)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from resbench.arch.algebra import Combinator, Node, Operator, Seq, dotted, walk
from resbench.arch.catalog import Architecture
from resbench.arch.layers import Identity
from resbench.errors import ArchitectureError

Network = TypeVar("Network", Node, Architecture)

Edit = Node | Callable[[Node, str], Node]
"""A node comes in place of another, or a function of the other and its name gives it."""


@dataclass(frozen=True)
class Selection(Generic[Network]):
    """A selection gives names and nodes in running order, and nothing within a selected node."""

    network: Network
    what: type[Node] | str

    @property
    def body(self) -> Node:
        """The network is this expression."""
        return self.network.body if isinstance(self.network, Architecture) else self.network

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        nodes = walk(self.body, into=lambda name, node: () if self._holds(name, node) else node.parts)
        return ((name, node) for name, node in nodes if self._holds(name, node))

    def replace(self, new: Edit, *, name: str = "") -> Network:
        """It gives the network with something else in each of these places.

        Identity removes: a named part of a sequence goes, any other gives x on. Shapes are checked when the result is
        read. An architecture takes ``name``, else its own and ``(edited)``.
        """
        body = self._edited("", self.body, new)
        if not isinstance(self.network, Architecture):
            return body
        return replace(
            self.network,
            name=name or f"{self.network.name} (edited)",
            body=body,
            source=f"{self.network.source}, edited",
        )

    def _holds(self, name: str, node: Node) -> bool:
        if isinstance(self.what, type):
            return isinstance(node, self.what)
        if isinstance(node, Operator) and self.what.endswith(node.operation):
            name = dotted(name, node.operation)
        return type(node).__name__ == self.what or (bool(name) and fnmatchcase(name, self.what))

    def _edited(self, name: str, node: Node, new: Edit) -> Node:
        if self._holds(name, node):
            made_by = callable(new) and not isinstance(new, type) and not hasattr(new, "forward")  # no torch module
            found = new(node, name) if made_by else new  # type: ignore[operator]
            if not isinstance(found, Node):
                where = name or "the network"
                raise ArchitectureError(f"{where}: expected a layer in its place, such as ReLU(), received {found!r}")
            return found
        if not isinstance(node, Combinator):
            return node
        return _of(node, [self._edited(dotted(name, part), inner, new) for part, inner in node.parts])


def select(network: Network, what: type[Node] | str) -> Selection[Network]:
    """It finds the nodes of a kind, a class or its name, or those whose dotted names match a pattern such as ``*.bn2``.

    A pattern that ends in ``add``, ``mul``, ``concat`` or ``highway`` finds these by the names of their rows, such as
    ``layer1.0.add``. Raises ArchitectureError where there is nothing of the kind.
    """
    selection = Selection(network, what)
    if not isinstance(what, str | type) or not any(selection):
        held = sorted({type(node).__name__ for _, node in walk(selection.body)})
        raise ArchitectureError(
            f"expected a kind of layer or a pattern of names, such as '*.bn2', received {what!r}, which nothing "
            f"matches; the network is made of {', '.join(held)}"
        )
    return selection


def _of(node: Combinator, parts: list[Node]) -> Node:
    """The combinator is made anew of other parts under the same names."""
    first = node.positional
    named = {
        name: part
        for (name, old), part in zip(node.parts[first:], parts[first:], strict=True)
        if part == old or part != Identity() or not isinstance(node, Seq)
    }
    level = [
        Seq(**{name: part}) if name and isinstance(part, Combinator) else part  # it comes where a layer stood
        for (name, _), part in zip(node.parts, parts[:first], strict=False)
    ]
    return type(node)(*level, **named)
