"""The reading `cost` counts in integers what every layer of an architecture takes.

>>> from resbench.arch import Conv2d, ReLU, Seq
>>> report = cost(Seq(conv=Conv2d(3, 8, 3, padding=1), relu=ReLU()), input=(3, 32, 32))
>>> report.params, report.macs, report.elementwise
(224, 221184, 16384)
>>> report.layers[0].output
(1, 8, 32, 32)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape, dotted
from resbench.arch.fields import MAX_SIZE
from resbench.arch.kinds import BILINEAR, KINDS, Kind
from resbench.arch.windows import INPUT, SELF, Sight, Window, multiplied, spread, whole
from resbench.errors import ArchitectureError, OptionError, ShapeError
from resbench.units import FP32_BYTES

Level = Literal["model", "stage", "block", "layer"]
Mode = Literal["inference", "training"]


class Row(NamedTuple):
    """A row is one layer, or a group of them, as counted for the whole batch. What is not known is None."""

    name: str
    type: str
    output: Shape
    params: int
    macs: int
    elementwise: int
    activations: int | None
    """A layer has these output elements, a group their sum. None where a layer returns what nobody sees into."""
    trainable: int | None = None
    """Training changes these parameters; the others are frozen."""
    param_bytes: int | None = None
    """The parameters take this in their own types."""
    buffer_bytes: int | None = None
    """What is held and not learned takes this, such as running statistics."""
    activation_bytes: int | None = None
    """The outputs take this in their own types."""
    backward_macs: int | None = None
    """The gradients that training needs take these; None at inference."""

    kind: Kind | None = None
    """It is of this kind (``resbench.arch.kinds``); None of a group, and where an earlier version counted."""
    reads: tuple[int, ...] = ()
    """It takes the outputs of the rows at these places, ascending."""
    keeps: tuple[int, ...] = ()
    """Its gradients are computed from the outputs of the rows at these places, its own perhaps among them."""
    kept_bytes: int = 0
    """They need so much else, such as masks and indices."""
    sees: tuple[Sight, ...] | None = None
    """A position of its output sees these positions of rows, or of the network's input; None of a group, and where an
    earlier version counted."""

    @property
    def flops(self) -> int:
        """FLOPs are 2 x MACs."""
        return 2 * self.macs

    def times(self, count: int) -> Self:
        """So many of it stand in one row."""
        values: tuple[Any, ...] = self
        numbers = [None if number is None else count * number for number in values[NUMBERS]]
        return type(self)(*values[: NUMBERS.start], *numbers)


class Hold(NamedTuple):
    """A run of eager torch holds the output of a row in memory so."""

    room: int
    """It lies in what the row at this place took: itself, or an earlier one where it is written in place or is another
    look at that."""
    until: int
    """At inference that is held at least until the row at this place has run; its readers may hold it longer."""
    passing_bytes: int = 0
    """So much more is held for a moment while the row runs."""


class Fork(NamedTuple):
    """Values decide here which way a run goes, or how often it goes round."""

    name: str
    """It is called as its row would be: ``layer1.cond``."""
    macs: tuple[int, ...]
    """These are of both branches, of which the larger counts; of a loop those of one iteration, which counts once."""


NUMBERS = slice(Row._fields.index("params"), Row._fields.index("backward_macs") + 1)
NOTHING = (0,) * len(Row._fields[NUMBERS])


@dataclass(frozen=True)
class Cost:
    """One network has these rows for one input, in the order in which they run."""

    model: str
    source: str
    input: Shape
    layers: tuple[Row, ...]
    uncounted: tuple[tuple[str, int], ...] = ()
    """These operators have no formula, and ran so often; the fold has none."""
    kinds: tuple[tuple[str, int], ...] = ()
    """A traced model has these MACs by kind of operator (for kinds without MACs, elementwise operations)."""
    mode: Mode = "inference"
    complex: bool = False
    """It says whether complex numbers were multiplied, at four real MACs each."""
    made: tuple[str, ...] = ()
    """These were made while the forward ran: they count, though the model did not hold them."""
    held: tuple[Hold, ...] = ()
    """A trace saw how the output of each row is held; the fold does not say, nor did an earlier version."""
    input_bytes: int | None = None
    """All inputs together take so much; the fold does not say, whose one input has the width of the weights."""

    forks: tuple[Fork, ...] = ()
    """Here the count is not that of every run; the fold has none, and where a loop's length is known it counts."""

    derived: ClassVar = (
        *("params", "macs", "flops", "elementwise", "activations"),
        *("trainable", "param_bytes", "buffer_bytes", "activation_bytes", "backward_macs"),
    )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Name the layers of no known kind, of which nobody knows what they keep for the backward pass."""
        return tuple(row.name for row in self.layers if row.kind == "unknown")

    @property
    def is_least(self) -> bool:
        """Tell whether a run takes more: something has no formula, or goes round nobody knows how often."""
        return bool(self.uncounted) or any(len(fork.macs) == 1 for fork in self.forks)

    @property
    def total(self) -> Row:
        """Sum all layers into one row."""
        return sum_rows(self.model, "model", self.layers)

    @property
    def params(self) -> int:
        return sum(row.params for row in self.layers)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.layers)

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def elementwise(self) -> int:
        return sum(row.elementwise for row in self.layers)

    @property
    def activations(self) -> int | None:
        return self.total.activations

    @property
    def trainable(self) -> int | None:
        return self.total.trainable

    @property
    def param_bytes(self) -> int | None:
        return self.total.param_bytes

    @property
    def buffer_bytes(self) -> int | None:
        return self.total.buffer_bytes

    @property
    def activation_bytes(self) -> int | None:
        return self.total.activation_bytes

    @property
    def backward_macs(self) -> int | None:
        """Sum the MACs for the gradients of weights and inputs; None at inference."""
        return self.total.backward_macs

    def per(self, level: Level) -> tuple[Row, ...]:
        """Sum the rows by model, stage, block or layer. A stage is the first step of a layer's name
        (``layer2``); a block the numbered step below it (``layer2.0``), or the stage where there is none."""
        match level:
            case "model":
                return (self.total,)
            case "stage":
                return _group(self.layers, level, lambda name: name.partition(".")[0])
            case "block":
                return _group(self.layers, level, _block)
            case "layer":
                return self.layers
        raise OptionError(f"a report is per {', '.join(get_args(Level))}; received {level!r}")


def _block(name: str) -> str:
    stage, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return f"{stage}.{number}" if number.isdigit() else stage


def _group(rows: Iterable[Row], type: str, key: Callable[[str], str]) -> tuple[Row, ...]:
    """Sum by key, groups in order of first appearance (a module that runs twice is one group)."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row.name), []).append(row)
    return tuple(
        sum_rows(name, type, group) if len(group) > 1 else group[0]._replace(name=name)
        for name, group in groups.items()
    )


def sum_rows(name: str, type: str, rows: Sequence[Row]) -> Row:
    """Make one row of several; a number is None in it as soon as it is not known of one of them."""
    sums = [None if None in column else sum(column) for column in zip(*(row[NUMBERS] for row in rows), strict=True)]
    return Row(name, type, rows[-1].output if rows else (), *(sums or NOTHING))


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

    @property
    def sight(self) -> Sight:
        """What reads it, position by position, sees that row, or the network's input."""
        return Sight(self.places[-1] if self.places else INPUT, self.window)


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
def _counted(layer: Layer, shape: Shape, learned: bool, mode: Mode) -> Counted:
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
        counted = _counted(layer, x.shape, x.learned, mode)
    except ShapeError as error:
        raise ShapeError(error.reason, path) from None
    sees = tuple(x.sight.seen_through(window, gate) for window, gate in counted.sees)
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
    seen = [part.sight.seen_through(spread(part.shape[2:], output[2:]) if known else None) for part in parts]
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
