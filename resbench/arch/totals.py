"""The reading `totals` sums what an architecture takes, and looks at each distinct part of it once.

Nodes are values, so a part costs at one shape what it did before, in this network or another: the sums of 200 equal
units take the time of one. Tables by layer are those of `cost`, whose total is the same.

>>> from resbench.arch.catalog import architecture
>>> deep = architecture("resnet1202")
>>> deep.totals() == deep.cost().total
True
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby

from resbench.arch.algebra import Layer, Node, Seq, Shape
from resbench.arch.cost import KNOWN, Stream, check, cost, count_layer, fold
from resbench.arch.rows import Mode, Row, sum_rows
from resbench.arch.windows import SELF
from resbench.errors import ShapeError


def totals(arch: Node, input: Iterable[int], *, batch: int = 1, model: str = "", mode: Mode = "inference") -> Row:
    """Count ``arch`` as a whole, for an input (C, H, W) and a batch size. Raises as ``cost`` does."""
    rows: list[Row] = []
    try:
        _add(arch, 1, Stream(check(arch, input, batch, mode)), rows, mode)
    except ShapeError:
        cost(arch, input, batch=batch, model=model, mode=mode)  # it knows where
        raise
    return sum_rows(model, "model", rows)


def _add(node: Node, times: int, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    """Add rows for a node that stands there so often in a row, and give what flows out of the last."""
    while times:
        count = _in_turn if isinstance(node, Seq) else _layer if isinstance(node, Layer) else _known
        part, out = count(node, x.shape, x.learned, mode)
        equal = times if out == x else 1  # what gives what flowed into it costs the same again
        rows += [row.times(equal) for row in part] if equal > 1 else part
        x, times = out, times - equal
    return x


def _in_turn(node: Node, shape: Shape, learned: bool, mode: Mode) -> tuple[Sequence[Row], Stream]:
    """Count a sequence, in which neighbours that are one and the same are counted together."""
    rows: list[Row] = []
    x = Stream(shape, learned=learned)
    for _, run in groupby(node, id):  # type: ignore[call-overload]
        part, *more = run
        x = _add(part, 1 + len(more), x, rows, mode)
    return rows, x


@lru_cache(KNOWN)
def _layer(node: Layer, shape: Shape, learned: bool, mode: Mode) -> tuple[Sequence[Row], Stream]:
    """Count a layer; with its row, if it has one, stands what flows out of it."""
    counted = count_layer(node, shape, learned, mode)
    return [] if node.silent else [Row("", *counted.figures)], Stream(counted.output, learned=counted.learned)


@lru_cache(KNOWN)
def _known(node: Node, shape: Shape, learned: bool, mode: Mode) -> tuple[Sequence[Row], Stream]:
    """Count an operator with its parts as one row; with it stands what flows out of it."""
    rows: list[Row] = []
    out = fold(node, "", Stream(shape, learned=learned), rows, mode, _once)
    return [sum_rows("", "model", rows)] if len(rows) > 1 else rows, out._replace(places=(), window=SELF)


def _once(node: Node, path: str, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    return _add(node, 1, x, rows, mode)
