"""The reading `cost` counts in integers what every layer of an architecture takes.

>>> from resbench.arch import Conv2d, ReLU, Seq
>>> report = cost(Seq(conv=Conv2d(3, 8, 3, padding=1), relu=ReLU()), input=(3, 32, 32))
>>> report.params, report.macs, report.elementwise
(224, 221184, 16384)
>>> report.layers[0].output
(1, 8, 32, 32)
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, get_args

from resbench.arch.acyclic import acyclic
from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape, dotted
from resbench.arch.count import Windows, count_layer, count_operator
from resbench.arch.fields import MAX_SIZE
from resbench.arch.kinds import BILINEAR
from resbench.arch.rows import Cost, Mode, Row
from resbench.arch.windows import INPUT, SELF, Sight, Window, behind, multiplied, spread
from resbench.errors import ArchitectureError, OptionError, ShapeError


@acyclic
def cost(
    arch: Node, input: Iterable[int], *, batch: int = 1, model: str = "", source: str = "", mode: Mode = "inference"
) -> Cost:
    """Count every layer of ``arch`` for an input (C, H, W) and a batch size; in training the backward pass too.

    Raises ShapeError, with the path of the node, where shapes do not fit.
    """
    rows: list[Row] = []
    try:
        shape = check(arch, input, batch, mode)
        fold(arch, "", Stream(shape), rows, mode)
    except ShapeError as error:
        raise ShapeError(error.reason, dotted(model, error.path)) from None
    return Cost(model, source, shape, tuple(rows), mode=mode)


def check(arch: Node, input: Iterable[int], batch: int, mode: Mode) -> Shape:
    """Return the shape of the whole input, once it is known that all this can be counted."""
    if mode not in get_args(Mode):
        raise OptionError(f"a mode is {' or '.join(get_args(Mode))}; received {mode!r}")
    if not isinstance(arch, Node):
        raise ArchitectureError(f"expected layers or combinators, received {arch!r}")
    sizes = tuple(input) if isinstance(input, Iterable) else (input,)
    if not sizes or any(type(size) is not int or not 1 <= size <= MAX_SIZE for size in (batch, *sizes)):
        raise ShapeError(f"expected a batch and an input of sizes from 1 to {MAX_SIZE}, received {batch} and {sizes}")
    return (batch, *sizes)


class Stream(NamedTuple):
    """A tensor of this shape flows from one node to the next."""

    shape: Shape
    places: tuple[int, ...] = ()
    """This row made it; none made the network's input."""
    learned: bool = False
    """It says whether parameters stand before it, so that training needs its gradient."""
    window: Window | None = SELF
    """It is seen so through layers without a row, such as a flatten."""

    def seen_through(self, windows: Windows) -> tuple[Sight, ...]:
        """What reads it through these windows sees that row so, or the network's input."""
        place = self.places[-1] if self.places else INPUT
        if self.window == SELF:
            return tuple([Sight(place, window, gate) for window, gate in windows])
        return tuple([Sight(place, behind(window, self.window), gate) for window, gate in windows])


def fold(node: Node, path: str, x: Stream, rows: list[Row], mode: Mode = "inference") -> Stream:
    """Add the rows of a node to ``rows`` in running order, and give what flows out of it where ``x`` flows in.

    ``path`` is the name of a layer, and the level in which a combinator stands.
    """
    if isinstance(node, Layer):
        return _fold_layer(node, path, x, rows, mode)
    assert isinstance(node, Combinator)
    if not isinstance(node, (Operator, Aux)):
        return _fold_in_turn(node, path, x, rows, mode)
    first = len(rows)
    parts = [fold(part, dotted(path, name), x, rows, mode) for name, part in node.parts]
    if isinstance(node, Operator):
        return _fold_operator(node, path, parts, rows, mode)
    if mode == "inference":
        rows[first:] = [row.idle() for row in rows[first:]]
    return x


def _fold_in_turn(node: Combinator, path: str, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    """Fold parts that run one after the other; where one does what the last one did, its rows stand further down."""
    last: Node | None = None
    was, entered, first = "", x, 0
    for name, part in node.parts:
        place = f"{path}.{name}" if path and name else path or name  # as ``dotted``, for every layer there is
        begin = len(rows)
        if isinstance(part, Layer):
            out = _fold_layer(part, place, x, rows, mode)
        elif part is last and x.places == (begin - 1,) and entered == x._replace(places=(first - 1,)):
            rows += [_further(row, begin - first, place + row.name[len(was) :]) for row in rows[first:begin]]
            out = x._replace(places=(len(rows) - 1,))
        else:
            out = fold(part, place, x, rows, mode)
        last, was, entered, first, x = part, place, x, begin, out
    return x


_EDGES = Row._fields.index("reads")
_made: Callable[[type[Row], tuple[Any, ...]], Row] = tuple.__new__
"""As ``Row._make``, which for each of many thousand rows looks again whether all fields are there."""


def _further(row: Row, by: int, name: str) -> Row:
    """Give a row that stands so much further down, with all that it reads."""
    reads, keeps = row.reads, row.keeps
    reads = (reads[0] + by,) if len(reads) == 1 else tuple([place + by for place in reads])
    keeps = (keeps[0] + by,) if len(keeps) == 1 else tuple([place + by for place in keeps])
    sees = tuple([Sight(place + by, window, gate) for place, window, gate in row.sees or ()])
    return _made(Row, (name, *row[1:_EDGES], reads, keeps, row.kept_bytes, sees))


def _fold_layer(layer: Layer, path: str, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    try:
        row, learned, (reads, gives), kept_bytes, windows = count_layer(layer, x.shape, x.learned, mode)
    except ShapeError as error:
        raise ShapeError(error.reason, path) from None
    sees = x.seen_through(windows)
    if layer.silent:
        return Stream(row.output, x.places, x.learned, sees[0].window)
    place = (len(rows),)
    keeps = x.places + place if reads and gives else x.places if reads else place if gives else ()
    name = path or type(layer).__name__.lower()
    rows.append(_made(Row, (name, *row[1:_EDGES], x.places, keeps, kept_bytes, sees)))
    return Stream(row.output, place, learned)


def _fold_operator(node: Operator, path: str, parts: Sequence[Stream], rows: list[Row], mode: Mode) -> Stream:
    learned = [part.learned for part in parts]
    try:
        row, _, (reads, gives), kept_bytes, _ = count_operator(node, [part.shape for part in parts], any(learned), mode)
    except ShapeError as error:
        raise ShapeError(error.reason, path) from None
    place, places = (len(rows),), _places(parts)
    keeps = (*(places if reads else ()), *(place if gives else ()))
    if node.kind in BILINEAR and not all(learned):
        others = [part for i, part in enumerate(parts) if any((*learned[:i], *learned[i + 1 :]))]
        keeps, kept_bytes = _places(others), 0
    name, sees = dotted(path, node.operation), _seen(node, parts, row.output)
    rows.append(_made(Row, (name, *row[1:_EDGES], places, keeps, kept_bytes, sees)))
    return Stream(row.output, place, any(learned))


def _seen(node: Operator, parts: Sequence[Stream], output: Shape) -> tuple[Sight, ...]:
    """Say what an operator sees of its parts: the same position of each, or the only one there is."""
    known = node.kind != "unknown"
    windows = [((spread(part.shape[2:], output[2:]) if known else None, False),) for part in parts]
    seen = [part.seen_through(window)[0] for part, window in zip(parts, windows, strict=True)]
    return multiplied(seen) if node.kind == "product" else tuple(dict.fromkeys(seen))


def _places(parts: Iterable[Stream]) -> tuple[int, ...]:
    """Find the rows that made these, ascending."""
    return tuple(sorted({place for part in parts for place in part.places}))
