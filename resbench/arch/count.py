"""A layer, or an operator, takes so much at one shape, wherever in a network it stands.

>>> from resbench.arch.layers import Conv2d
>>> count_layer(Conv2d(3, 8, 3, padding=1), (1, 3, 32, 32), False, "inference").row.macs
221184
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from resbench.arch.acyclic import remembered
from resbench.arch.algebra import Layer, Operator, Shape
from resbench.arch.kinds import KINDS
from resbench.arch.rows import Mode, Row
from resbench.arch.windows import Window, whole
from resbench.units import FP32_BYTES

KNOWN = 2**14
"""So many parts at their shapes are known at most: networks repeat theirs."""

Windows = tuple[tuple[Window | None, bool], ...]
"""An input is seen through these; one that is marked is a gate: statistics of the whole map."""


class Count(NamedTuple):
    """This is counted of a layer or an operator for what flows in."""

    row: Row
    """It is its row, but for the name and what is read and kept."""
    learned: bool
    """It says whether parameters stand before what it gives."""
    keeps: tuple[bool, bool]
    """Its gradients are computed from what it reads, and from what it gives."""
    kept_bytes: int
    sees: Windows = ()
    """A layer sees its input through these windows; of an operator its parts are asked."""


@remembered(KNOWN)
def count_layer(layer: Layer, shape: Shape, learned: bool, mode: Mode) -> Count:
    """Count a layer; ``learned``: parameters stand before it. Raises ShapeError."""
    output = layer.output(shape)
    training = mode == "training"
    macs, params = layer.macs(output), layer.params
    products = int(params > 0) + int(learned)  # of the forward's size: for the weights, and for the input
    row = Row(
        "",
        type(layer).__name__,
        output,
        params,
        macs,
        (layer.elementwise_in_training if training else layer.elementwise)(shape, output),
        prod(output),
        params,
        FP32_BYTES * params,
        layer.buffer_bytes,
        FP32_BYTES * prod(output),
        products * macs if training else None,
        layer.kind,
    )
    sees = ((layer.window(shape), False), *(((whole(shape[2:]), True),) if mode in layer.by_whole_map else ()))
    if not learned and not params:
        return Count(row, False, (False, False), 0, sees)
    needs = KINDS[layer.kind]
    return Count(row, True, (needs.input, needs.output), layer.kept_bytes(output), sees)


def count_operator(node: Operator, shapes: Sequence[Shape], learned: bool, mode: Mode) -> Count:
    """Count an operator itself, whose parts give these shapes. Raises ShapeError."""
    output = node.combine([*shapes])
    elements, backward = prod(output), 0 if mode == "training" else None
    work = node.elementwise(output)
    row = Row(
        *("", type(node).__name__, output, 0, 0, work, elements, 0, 0, 0, FP32_BYTES * elements, backward, node.kind)
    )
    if not learned:
        return Count(row, False, (False, False), 0)
    needs = KINDS[node.kind]
    return Count(row, True, (needs.input, needs.output), node.kept_bytes(output))
