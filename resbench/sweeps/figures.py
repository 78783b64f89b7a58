"""The figures of a network that cost nothing: they are summed part by part, and an equal part is looked at once.

>>> from resbench.arch.catalog import architecture
>>> figures(architecture("resnet20").body, (3, 32, 32))
Figures(params=269722, macs=40551040, elementwise=655370, activations=663626, conv_activations=188416, depth=20)
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from resbench.arch.acyclic import acyclic, remembered
from resbench.arch.algebra import Aux, Combinator, Layer, Mul, Node, Operator, Shape
from resbench.arch.cost import check
from resbench.arch.count import KNOWN, count_layer, count_operator


class Figures(NamedTuple):
    """A network has these figures for one image at inference."""

    params: int
    macs: int
    elementwise: int
    activations: int
    """Its layers give so many numbers."""
    conv_activations: int
    """Its convolutions give so many of them (the activations of Radosavovic et al. 2020, sec. 3.4)."""
    depth: int
    """So many convolutions and linear layers lie on its longest path; what multiplies it (a gate, as in squeeze-and-
    excitation) stands beside the path."""

    def then(self, other: "Figures") -> "Figures":
        """Return those of both, one behind the other."""
        return Figures(*map(int.__add__, self, other))

    def times(self, count: int) -> "Figures":
        """Return those of so many, one behind the other."""
        return Figures(*(count * number for number in self))


NONE = Figures(0, 0, 0, 0, 0, 0)


@acyclic
def figures(arch: Node, input: Iterable[int]) -> Figures:
    """Sum the figures of an architecture for an input (C, H, W). Raises ShapeError where it does not fit."""
    found, _ = _read(arch, check(arch, input, 1, "inference"))
    return found


@remembered(KNOWN)
def _read(node: Node, shape: Shape) -> tuple[Figures, Shape]:
    """Read a node at a shape, and give what shape flows out of it."""
    if isinstance(node, Layer):
        row, *_ = count_layer(node, shape, False, "inference")
        if node.silent:
            return NONE, row.output
        convolves = row.kind == "convolution"
        made = row.activations or 0
        deep = int(convolves or row.kind == "linear")
        return Figures(row.params, row.macs, row.elementwise, made, made if convolves else 0, deep), row.output
    assert isinstance(node, Combinator)
    if isinstance(node, (Operator, Aux)):
        return _side_by_side(node, shape)
    found = NONE
    for _, run in groupby([part for _, part in node.parts], id):
        part, *more = run
        left = 1 + len(more)
        while left:
            one, out = _read(part, shape)
            equal = left if out == shape else 1  # what gives what flowed into it costs the same again
            found, shape, left = found.then(one.times(equal) if equal > 1 else one), out, left - equal
    return found, shape


@remembered(KNOWN)
def _side_by_side(node: Operator | Aux, shape: Shape) -> tuple[Figures, Shape]:
    """Read parts that stand side by side: their paths do not add up, all else does."""
    parts = [_read(part, shape) for part in node]
    found, deepest = NONE, 0
    for i, (one, _) in enumerate(parts):
        found = found.then(one)
        deepest = max(deepest, one.depth) if not (i and isinstance(node, Mul)) else deepest
    if isinstance(node, Operator):
        row, *_ = count_operator(node, [out for _, out in parts], False, "inference")
        own = Figures(0, 0, row.elementwise, row.activations or 0, 0, 0)
        return found.then(own)._replace(depth=deepest), row.output
    return NONE._replace(params=found.params), shape  # a head that stands aside runs in training alone
