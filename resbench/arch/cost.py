"""The reading `cost`: what every layer of an architecture takes, counted in integers.

>>> from resbench.arch import Conv2d, ReLU, Seq
>>> report = cost(Seq(conv=Conv2d(3, 8, 3, padding=1), relu=ReLU()), input=(3, 32, 32))
>>> report.params, report.macs, report.elementwise
(224, 221184, 16384)
>>> report.layers[0].output
(1, 8, 32, 32)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, NamedTuple, get_args

from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape
from resbench.arch.fields import MAX_SIZE
from resbench.errors import ArchitectureError, OptionError, ShapeError
from resbench.units import FP32_BYTES

Level = Literal["model", "stage", "block", "layer"]
Mode = Literal["inference", "training"]


class Row(NamedTuple):
    """One layer, or a group of them, as counted for the whole batch. What is not known is None."""

    name: str
    type: str
    output: Shape
    params: int
    macs: int
    elementwise: int
    activations: int | None
    """Output elements; of a group, the sum over its layers. None where a layer returns what nobody sees into."""
    trainable: int | None = None
    """Parameters that training changes; the others are frozen."""
    param_bytes: int | None = None
    """Of the parameters in their own types."""
    buffer_bytes: int | None = None
    """Of what is held and not learned, such as running statistics."""
    activation_bytes: int | None = None
    """Of the outputs in their own types."""
    backward_macs: int | None = None
    """Of the gradients that training needs; None at inference."""

    @property
    def flops(self) -> int:
        """2 x MACs."""
        return 2 * self.macs


@dataclass(frozen=True)
class Cost:
    """The rows of one network for one input, in the order in which they run."""

    model: str
    source: str
    input: Shape
    layers: tuple[Row, ...]
    uncounted: tuple[tuple[str, int], ...] = ()
    """Operators without a formula, and how often they ran; the fold has none."""
    kinds: tuple[tuple[str, int], ...] = ()
    """Of a traced model, the MACs by kind of operator (for kinds without MACs, elementwise operations)."""
    mode: Mode = "inference"
    complex: bool = False
    """Whether complex numbers were multiplied: four real MACs each."""
    made: tuple[str, ...] = ()
    """Layers and parameters that were made while the forward ran: they count, though the model did not hold them."""

    derived: ClassVar = (
        *("params", "macs", "flops", "elementwise", "activations"),
        *("trainable", "param_bytes", "buffer_bytes", "activation_bytes", "backward_macs"),
    )

    @property
    def total(self) -> Row:
        """All layers as one row."""
        return _sum(self.model, "model", self.layers)

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
        return _sum_known(row.activations for row in self.layers)

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
        """For the gradients of weights and inputs; None at inference."""
        return self.total.backward_macs

    def per(self, level: Level) -> tuple[Row, ...]:
        """The rows summed by model, stage, block or layer. A stage is the first step of a layer's name
        (``layer2``); a block the numbered step below it (``layer2.0``), or the stage where there is none."""
        if level not in get_args(Level):
            raise OptionError(f"a report is per {', '.join(get_args(Level))}; received {level!r}")
        if level == "layer":
            return self.layers
        if level == "model":
            return (self.total,)
        return _group(self.layers, level, _stage if level == "stage" else _block)


def _stage(name: str) -> str:
    return name.partition(".")[0]


def _block(name: str) -> str:
    stage, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return f"{stage}.{number}" if number.isdigit() else stage


def _group(rows: Iterable[Row], kind: str, key: Callable[[str], str]) -> tuple[Row, ...]:
    """Sums by key, groups in order of first appearance (a module that runs twice is one group)."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row.name), []).append(row)
    return tuple(
        _sum(name, kind, group) if len(group) > 1 else group[0]._replace(name=name) for name, group in groups.items()
    )


def _sum(name: str, kind: str, rows: Iterable[Row]) -> Row:
    rows = tuple(rows)
    return Row(
        name,
        kind,
        rows[-1].output if rows else (),
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        elementwise=sum(row.elementwise for row in rows),
        activations=_sum_known(row.activations for row in rows),
        trainable=_sum_known(row.trainable for row in rows),
        param_bytes=_sum_known(row.param_bytes for row in rows),
        buffer_bytes=_sum_known(row.buffer_bytes for row in rows),
        activation_bytes=_sum_known(row.activation_bytes for row in rows),
        backward_macs=_sum_known(row.backward_macs for row in rows),
    )


def _sum_known(numbers: Iterable[int | None]) -> int | None:
    """None as soon as one of them is not known."""
    known = 0
    for number in numbers:
        if number is None:
            return None
        known += number
    return known


def cost(
    arch: Node, input: Iterable[int], *, batch: int = 1, model: str = "", source: str = "", mode: Mode = "inference"
) -> Cost:
    """Count every layer of ``arch`` for an input (C, H, W) and a batch size; in training the backward pass too.

    Raises ShapeError, with the path of the node, where shapes do not fit.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"a mode is {' or '.join(get_args(Mode))}; received {mode!r}")
    if not isinstance(arch, Node):
        raise ArchitectureError(f"expected layers or combinators, received {arch!r}")
    sizes = tuple(input) if isinstance(input, Iterable) else (input,)
    if not sizes or any(type(size) is not int or not 1 <= size <= MAX_SIZE for size in (batch, *sizes)):
        raise ShapeError(
            f"expected a batch and an input of sizes from 1 to {MAX_SIZE}, received {batch} and {sizes}", model
        )
    rows: list[Row] = []
    try:
        fold(arch, "", (batch, *sizes), rows.append, mode)
    except ShapeError as error:
        path = ".".join(step for step in (model, error.path) if step)
        raise ShapeError(error.reason, path) from None
    return Cost(model, source, (batch, *sizes), tuple(rows), mode=mode)


def fold(
    node: Node,
    path: str,
    shape: Shape,
    emit: Callable[[Row], None],
    mode: Mode = "inference",
    learning: bool = False,
) -> Shape:
    """Emit the rows of a node in running order; give the shape that it makes of ``shape``.

    ``path`` is the name of a layer, and the level in which a combinator stands. ``learning``: parameters stand
    before the node, so that training needs the gradient of its input.
    """
    if isinstance(node, Layer):
        try:
            output = node.output(shape)
        except ShapeError as error:
            raise ShapeError(error.reason, path) from None
        if not node.silent:
            kind = type(node).__name__
            training = mode == "training"
            macs = node.macs(output)
            elementwise = node.elementwise_in_training if training else node.elementwise
            backward = _gradients(node, learning) * macs if training else None
            row = Row(path or kind.lower(), kind, output, node.params, macs, elementwise(shape, output), prod(output))
            emit(_fp32(row, node.buffer_bytes, backward))
        return output
    assert isinstance(node, Combinator)
    prefix = path + "." if path else ""
    if isinstance(node, Operator):
        paths = [(prefix + name if name else path, part) for name, part in node.parts]
        shapes = [fold(part, place, shape, emit, mode, learning) for place, part in paths]
        try:
            output = node.combine(shapes)
        except ShapeError as error:
            raise ShapeError(error.reason, path) from None
        work = 0, node.elementwise(output)
        row = Row(prefix + node.operation, type(node).__name__, output, 0, *work, prod(output))
        emit(_fp32(row, 0, 0 if mode == "training" else None))
        return output
    if isinstance(node, Aux):
        runs = emit if mode == "training" else lambda row: emit(_idle(row))
        for name, part in node.parts:
            fold(part, prefix + name if name else path, shape, runs, mode, learning)
        return shape
    for name, part in node.parts:
        shape = fold(part, prefix + name if name else path, shape, emit, mode, learning)
        learning = learning or learns(part)
    return shape


def _gradients(layer: Layer, learning: bool) -> int:
    """How many products of the forward's size the backward pass takes: for its weights, and for its input."""
    return int(layer.params > 0) + int(learning)


def learns(node: Node) -> bool:
    """Do parameters stand on the way from its input to its output? An auxiliary head's stand beside it."""
    if isinstance(node, Layer):
        return node.params > 0
    return isinstance(node, Combinator) and not isinstance(node, Aux) and any(learns(part) for _, part in node.parts)


def _fp32(row: Row, buffer_bytes: int, backward_macs: int | None) -> Row:
    """With what holds of a network of the algebra: all its parameters are trained, and its numbers are float32."""
    return row._replace(
        trainable=row.params,
        param_bytes=FP32_BYTES * row.params,
        buffer_bytes=buffer_bytes,
        activation_bytes=FP32_BYTES * (row.activations or 0),
        backward_macs=backward_macs,
    )


def _idle(row: Row) -> Row:
    """A layer that does not run at inference: its parameters remain."""
    return row._replace(macs=0, elementwise=0, activations=0, activation_bytes=0)
