"""The reading `totals` sums what an architecture takes, and looks at each distinct part of it once.

Nodes are values, so a part costs at one shape what it did before, in this network or another: the sums of 200 equal
units take the time of one. Tables by layer are those of `cost`, whose total is the same.

>>> from resbench.arch.catalog import architecture
>>> deep = architecture("resnet1202")
>>> deep.totals() == deep.cost().total
True
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from resbench.arch.acyclic import acyclic, remembered
from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape
from resbench.arch.cost import check, cost
from resbench.arch.count import KNOWN, count_layer, count_operator
from resbench.arch.rows import Mode, Row, sum_rows
from resbench.errors import ShapeError


@acyclic
def totals(arch: Node, input: Iterable[int], *, batch: int = 1, model: str = "", mode: Mode = "inference") -> Row:
    """Count ``arch`` as a whole, for an input (C, H, W) and a batch size. Raises as ``cost`` does."""
    shape = check(arch, input, batch, mode)
    rows: list[Row] = []
    try:
        _count(arch, Flow(shape, False), rows, mode)
    except ShapeError:
        cost(arch, input, batch=batch, model=model, mode=mode)  # it knows where
        raise
    return sum_rows(model, "model", rows)


class Flow(NamedTuple):
    """A tensor of this shape flows from one node to the next."""

    shape: Shape
    learned: bool
    """It says whether parameters stand before it."""


def _count(node: Node, x: Flow, rows: list[Row], mode: Mode) -> Flow:
    """Count a node in as few rows as need be, and give what flows out of it."""
    if isinstance(node, Layer):
        counted = count_layer(node, *x, mode)
        if not node.silent:
            rows.append(counted.row)
        return Flow(counted.row.output, counted.learned)
    assert isinstance(node, Combinator)
    if isinstance(node, (Operator, Aux)):
        row, x = _known(node, x, mode)
        rows += row
        return x
    for _, run in groupby([part for _, part in node.parts], id):
        part, *more = run
        times = 1 + len(more)
        while times:
            begin, out = len(rows), _count(part, x, rows, mode)
            if times > 1 and out == x:  # what gives what flowed into it costs the same again
                rows[begin:] = [row.times(times) for row in rows[begin:]]
                times = 1
            x, times = out, times - 1
    return x


@remembered(KNOWN)
def _known(node: Operator | Aux, x: Flow, mode: Mode) -> tuple[Sequence[Row], Flow]:
    """Count what stands side by side as one row."""
    rows: list[Row] = []
    flows = [_count(part, x, rows, mode) for part in node]
    if isinstance(node, Operator):
        learned = any(flow.learned for flow in flows)
        row = count_operator(node, [flow.shape for flow in flows], learned, mode).row
        rows.append(row)
        x = Flow(row.output, learned)
    elif mode == "inference":
        rows = [row.idle() for row in rows]
    return (sum_rows("", "model", rows),) if rows else (), x
