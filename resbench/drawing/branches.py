"""A branch is read for what a picture says of it: what stands before its first convolution, what a shortcut does."""

from collections.abc import Iterator, Sequence, Set
from itertools import takewhile

from resbench.arch.algebra import Add, Aux, Combinator, Layer, Mul, Node, Operator, Part, Seq, walk
from resbench.arch.channels import PadChannels
from resbench.arch.kinds import Kind
from resbench.arch.layers import Flatten, Identity

STRIPS: Set[Kind] = frozenset(("normalisation", "activation", "function", "scaling", "dropout"))
"""Layers of these kinds go with another one."""

UNSEEN = (Identity, Flatten)
"""No box is drawn of these: they give on what comes in, all of it."""

WEIGHTED: Set[Kind] = frozenset(("convolution", "linear"))

Opening = tuple[type[Node], ...]
"""These kinds of layer stand before the convolutions of a pre-activated block."""


def opening(node: Node) -> Opening:
    """These layers of a branch stand before its first convolution; there are none unless it is pre-activated."""
    parts = list(_parts(node))
    strips = list(takewhile(lambda part: part.kind in STRIPS, parts))
    rest = parts[len(strips) :]
    return tuple(map(type, strips)) if rest and (rest[0].kind in WEIGHTED or isinstance(rest[0], Operator)) else ()


def _parts(node: Node) -> Iterator[Node]:
    """Layers and operators follow each other, down the first part of a sum."""

    def into(name: str, node: Combinator) -> Sequence[Part]:
        return node.parts[:1] if isinstance(node, Add) else () if isinstance(node, Operator) else node.parts

    for _, part in walk(node, into=into):
        if not isinstance(part, (*UNSEEN, Add, Seq, Aux)):
            yield part


def carries(node: Node) -> str:
    """A shortcut does this to x: identity, projection (linear), padding, or what its layers do."""
    parts = list(_parts(node.parts[0][1] if isinstance(node, Mul) else node))
    kinds = [part.kind for part in parts if isinstance(part, Layer)]
    if "convolution" in kinds:
        return "path" if {"activation", "function"} & {*kinds} else "projection"
    if any(isinstance(part, PadChannels) for part in parts):
        return "padding"
    if isinstance(node, Mul):
        return "gated"
    return (kinds[0] if kinds[0] in ("scaling", "dropout") else "path") if kinds else "identity"
