"""The reading `cost` counts in integers what every layer of an architecture takes.

>>> from resbench.arch import Conv2d, ReLU, Seq
>>> report = cost(Seq(conv=Conv2d(3, 8, 3, padding=1), relu=ReLU()), input=(3, 32, 32))
>>> report.params, report.macs, report.elementwise
(224, 221184, 16384)
>>> report.layers[0].output
(1, 8, 32, 32)
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, get_args

from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape, dotted
from resbench.arch.fields import MAX_SIZE
from resbench.arch.kinds import BILINEAR, KINDS
from resbench.arch.rows import Cost, Mode, Row
from resbench.arch.windows import INPUT, SELF, Sight, Window, behind, multiplied, spread, whole
from resbench.errors import ArchitectureError, OptionError, ShapeError
from resbench.units import FP32_BYTES


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
    """These rows made it; none made the network's input."""
    learned: bool = False
    """It says whether parameters stand before it, so that training needs its gradient."""
    window: Window | None = SELF
    """It is seen so through layers without a row, such as a flatten."""

    def seen_through(self, window: Window | None, gate: bool = False) -> Sight:
        """What reads it through this window sees that row so, or the network's input."""
        return _sight(self.places[-1] if self.places else INPUT, self.window, window, gate)


@lru_cache(2**14)
def _sight(place: int, earlier: Window | None, later: Window | None, gate: bool) -> Sight:
    """Networks see alike: a row at a place through these windows."""
    return Sight(place, behind(later, earlier), gate)


def fold(
    node: Node,
    path: str,
    x: Stream,
    rows: list[Row],
    mode: Mode = "inference",
    visit: Callable[[Node, str, Stream, list[Row], Mode], Stream] | None = None,
) -> Stream:
    """Add the rows of a node to ``rows`` in running order, and give what flows out of it where ``x`` flows in.

    ``path`` is the name of a layer, and the level in which a combinator stands. ``visit`` folds its parts, if not this.
    """
    if isinstance(node, Layer):
        return _fold_layer(node, path, x, rows, mode)
    assert isinstance(node, Combinator)
    first = len(rows)
    streams = [x]
    parallel = isinstance(node, (Operator, Aux))
    for name, part in node.parts:
        inflow = x if parallel else streams[-1]
        place = f"{path}.{name}" if path and name else path or name
        if visit is None and isinstance(part, Layer):
            streams.append(_fold_layer(part, place, inflow, rows, mode))
        else:
            streams.append((visit or fold)(part, place, inflow, rows, mode))
    if isinstance(node, Operator):
        return _fold_operator(node, path, streams[1:], rows, mode)
    if isinstance(node, Aux) and mode == "inference":  # the head does not run; its parameters remain
        idle: dict[str, Any] = {"macs": 0, "elementwise": 0, "activations": 0, "activation_bytes": 0, "kept_bytes": 0}
        rows[first:] = [row._replace(**idle, reads=(), keeps=(), sees=()) for row in rows[first:]]
    return x if isinstance(node, Aux) else streams[-1]


KNOWN = 2**14
"""So many parts at their shapes are known at most: networks repeat theirs."""


class Counted(NamedTuple):
    """A layer or an operator takes this at one shape, wherever in a network it stands."""

    output: Shape
    figures: tuple[Any, ...]
    """They are what stands in its row behind its name, up to its edges."""
    learned: bool
    """It says whether parameters stand before what it gives."""
    keeps: tuple[bool, bool]
    """Its gradients are computed from what it reads, and from what it gives."""
    kept_bytes: int
    sees: tuple[tuple[Window | None, bool], ...]
    """It sees its input through these windows; a second one is a gate: statistics of the whole map."""


@lru_cache(KNOWN)
def count_layer(layer: Layer, shape: Shape, learned: bool, mode: Mode) -> Counted:
    """Count a layer; ``learned``: parameters stand before it."""
    output = layer.output(shape)
    training = mode == "training"
    macs, params = layer.macs(output), layer.params
    products = int(params > 0) + int(learned)  # of the forward's size: for the weights, and for the input
    figures = (
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
        return Counted(output, figures, False, (False, False), 0, sees)
    needs = KINDS[layer.kind]
    return Counted(output, figures, True, (needs.input, needs.output), layer.kept_bytes(output), sees)


def _fold_layer(layer: Layer, path: str, x: Stream, rows: list[Row], mode: Mode) -> Stream:
    try:
        counted = count_layer(layer, x.shape, x.learned, mode)
    except ShapeError as error:
        raise ShapeError(error.reason, path) from None
    sees = tuple([x.seen_through(window, gate) for window, gate in counted.sees])
    if layer.silent:
        return Stream(counted.output, x.places, x.learned, sees[0].window)
    place = (len(rows),)
    reads, gives = counted.keeps
    keeps = x.places + place if reads and gives else x.places if reads else place if gives else ()
    name = path or type(layer).__name__.lower()
    rows.append(Row._make((name, *counted.figures, x.places, keeps, counted.kept_bytes, sees)))
    return Stream(counted.output, place, counted.learned)


def _fold_operator(node: Operator, path: str, parts: Sequence[Stream], rows: list[Row], mode: Mode) -> Stream:
    try:
        output = node.combine([part.shape for part in parts])
    except ShapeError as error:
        raise ShapeError(error.reason, path) from None
    flow = Stream(output, _places(parts), any(part.learned for part in parts))
    keeps: dict[str, Any] = {}
    if node.kind in BILINEAR and not all(part.learned for part in parts):
        others = [part for i, part in enumerate(parts) if any(x.learned for x in (*parts[:i], *parts[i + 1 :]))]
        keeps = {"keeps": _places(others), "kept_bytes": 0}
    return _add_row(
        rows,
        dotted(path, node.operation),
        node,
        flow,
        output,
        elementwise=node.elementwise(output),
        backward_macs=0 if mode == "training" else None,
        sees=_seen(node, parts, output),
        **keeps,
    )


def _seen(node: Operator, parts: Sequence[Stream], output: Shape) -> tuple[Sight, ...]:
    """Say what an operator sees of its parts: the same position of each, or the only one there is."""
    known = node.kind != "unknown"
    seen = [part.seen_through(spread(part.shape[2:], output[2:]) if known else None) for part in parts]
    return multiplied(seen) if node.kind == "product" else tuple(dict.fromkeys(seen))


def _places(parts: Iterable[Stream]) -> tuple[int, ...]:
    """Find the rows that made these, ascending."""
    return tuple(sorted({place for part in parts for place in part.places}))


def _add_row(rows: list[Row], name: str, node: Layer | Operator, x: Stream, output: Shape, **figures: Any) -> Stream:
    """Add the row of a node that reads ``x``, whose numbers are float32; ``figures`` come in place of what it says."""
    inputs = x.places if KINDS[node.kind].input else ()
    own = (len(rows),) if KINDS[node.kind].output else ()
    row: dict[str, Any] = {
        "params": 0,
        "macs": 0,
        "activations": prod(output),
        "trainable": 0,
        "param_bytes": 0,
        "buffer_bytes": 0,
        "activation_bytes": FP32_BYTES * prod(output),
        "kind": node.kind,
        "reads": x.places,
        "keeps": (*inputs, *own) if x.learned else (),
        "kept_bytes": node.kept_bytes(output) if x.learned else 0,
    }
    rows.append(Row(name, type(node).__name__, output, **{**row, **figures}))
    return Stream(output, (len(rows) - 1,), x.learned)
