"""The reading `totals` sums what an architecture takes, and looks at each distinct part of it once.

Nodes are values, so a part costs at one shape what it did before, in this network or another: the sums of 200 equal
units take the time of one. Tables by layer are those of `cost`, whose total is the same.

>>> from resbench.arch.catalog import architecture
>>> deep = architecture("resnet1202")
>>> deep.totals() == deep.cost().total
True
"""

from collections.abc import Iterable
from functools import lru_cache

from resbench.arch.algebra import Node, Shape
from resbench.arch.cost import Mode, Row, Stream, check, cost, fold, sum_rows
from resbench.errors import ShapeError

KNOWN = 2**16
"""So many parts at their shapes are known at most."""


def totals(arch: Node, input: Iterable[int], *, batch: int = 1, model: str = "", mode: Mode = "inference") -> Row:
    """Count ``arch`` as a whole, for an input (C, H, W) and a batch size. Raises as ``cost`` does."""
    try:
        row = _part(arch, check(arch, input, batch, mode), False, mode)[0]
    except ShapeError:
        cost(arch, input, batch=batch, model=model, mode=mode)  # it knows where
        raise
    return row._replace(name=model) if row else sum_rows(model, "model", ())


@lru_cache(KNOWN)
def _part(node: Node, shape: Shape, learned: bool, mode: Mode) -> tuple[Row | None, Stream]:
    """Sum the rows of a part, if it has any; with it stands what flows out of it."""
    rows: list[Row] = []
    out = fold(node, "", Stream(shape, learned=learned), rows, mode, _visit)
    return sum_rows("", "model", rows) if rows else None, out._replace(places=())


def _visit(node: Node, path: str, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    """Fold a part as one row, that of its sums."""
    row, out = _part(node, x.shape, x.learned, mode)
    if row:
        rows.append(row)
    return out
