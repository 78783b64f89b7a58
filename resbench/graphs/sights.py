"""Each operator of a graph sees positions of what it reads, by the rules that a traced module has too.

Of one that has no rule here, such as an interpolation, nobody knows what it sees, but where the positions are gone,
behind a global pooling.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from resbench.arch import dimensions
from resbench.arch.dimensions import Dimensions, Part, Spans, Unclear, axes_of, everywhere, plain, size_of
from resbench.arch.windows import Sight, Span, sliding
from resbench.arch.windows import plain as along
from resbench.graphs.calls import Call
from resbench.graphs.elementwise import ELEMENTWISE
from resbench.graphs.graph import Graph, Unknown

ADDED = 3
"""A fused convolution takes a tensor at this place that is added to its result."""


class Shown(NamedTuple):
    """A tensor shows this of rows, or of the network's input."""

    sights: tuple[Sight, ...] = ()
    """It shows none where it comes of what the file holds alone."""
    dimensions: Dimensions | None = None
    """These run along the axes of the network's input; None where nobody knows which do."""


class Operand(NamedTuple):
    """The input at this place is seen so; as a gate it multiplies all positions alike."""

    place: int
    spans: Spans
    gate: bool = False


Seen = tuple[Dimensions, list[Operand]]
"""A result has these dimensions, and sees its operands so."""


class Looks(NamedTuple):
    """A node runs, and its inputs run along axes; one that the file holds along none."""

    call: Call
    graph: Graph
    moving: Mapping[int, Dimensions]
    """The inputs at these places come of the network's input."""

    def at(self, place: int) -> Dimensions:
        return self.moving[place] if place in self.moving else plain(self.call.input(place).sides)

    @property
    def out(self) -> Sequence[int]:
        return self.call.out.sides

    def said(self, attribute: str, otherwise: Any = None) -> Any:
        return self.call.node.attributes.get(attribute, otherwise)

    def numbers(self, attribute: str, place: int) -> Sequence[int] | None:
        """An attribute in early versions of an operator, and an input in later ones. Raises Unclear where only values
        tell."""
        if self.call.has(place):
            if (found := self.graph.values.get(self.call.input(place).name)) is None:
                raise Unclear
            return found
        given = self.said(attribute)
        return given if given is None else list(given)


def seen(call: Call, graph: Graph, operands: Sequence[Shown], axes: int) -> tuple[tuple[Sight, ...], Dimensions | None]:
    """Tell what a node sees of the rows before it, and the dimensions of its first output."""
    moving = {place: one.dimensions for place, one in enumerate(operands) if one.sights}
    try:
        known = {place: one for place, one in moving.items() if one is not None}
        if len(known) < len(moving):
            raise Unclear
        found, parts = _seen(Looks(call, graph, known))
    except (Unclear, Unknown, AssertionError, LookupError, ValueError):
        return tuple(dict.fromkeys(one._replace(window=None) for shown in operands for one in shown.sights)), None
    sights = [
        sight.seen_through(along(part.spans.get(axis, Span()) for axis in range(axes)), part.gate)
        for part in parts
        for sight in operands[part.place].sights
    ]
    return tuple(dict.fromkeys(sights)), found


def _seen(looks: Looks) -> Seen:
    if not any(axes_of(parts) for one in looks.moving.values() for parts in one):
        return plain(looks.out), [Operand(place, {}) for place in looks.moving]
    rule = RULES.get(looks.call.node.operator.rpartition(".")[2])
    if rule is None or looks.said("channels_last"):
        raise Unclear
    return rule(looks)


def like(found: Dimensions | None, shape: Sequence[int] | None) -> Dimensions | None:
    """Give the dimensions of a later output, which may be wider or narrower where the first runs along no axis."""
    if found is None or shape is None or len(found) != len(shape):
        return None
    same = [size_of(parts) == size for parts, size in zip(found, shape, strict=True)]
    if any(axes_of(parts) and not fits for parts, fits in zip(found, same, strict=True)):
        return None
    return tuple(parts if fits else (Part(size),) for parts, fits, size in zip(found, same, shape, strict=True))


def pointwise(looks: Looks) -> Seen:
    """Element by element."""
    return _pointwise(looks, [*looks.moving])


def _pointwise(looks: Looks, places: Sequence[int]) -> Seen:
    found, spans = dimensions.pointwise(looks.out, [looks.at(place) for place in places])
    return found, [Operand(*pair) for pair in zip(places, spans, strict=True)]


def normalised(over: Callable[[Looks], Iterable[int]]) -> "Rule":
    """Element by element, by statistics over dimensions."""

    def rule(looks: Looks) -> Seen:
        found, operands = pointwise(looks)
        x = looks.at(0)
        if spans := everywhere(x[i] for i in over(looks)):
            operands.append(Operand(0, spans, gate=True))
        return found, operands

    return rule


def slid(weight: int | None = None) -> "Rule":
    """A window slides along the last dimensions, as wide as the weight at this place, or as is said."""

    def rule(looks: Looks) -> Seen:
        x = looks.at(0)
        kernel = looks.said("kernel_shape") or (looks.call.input(weight).sides[2:] if weight else ())
        ones = [1] * len(kernel)
        strides, dilations = looks.said("strides", ones), looks.said("dilations", ones)
        reach = [dilation * (side - 1) + 1 for dilation, side in zip(dilations, kernel, strict=True)]
        window = sliding(kernel, strides, _before(looks, reach, strides), dilations)
        found, spans = dimensions.slid(x, looks.out, window or (Span(),) * len(kernel))
        added = [place for place in looks.moving if place == ADDED]
        return found, [Operand(0, spans), *(_pointwise(looks, added)[1] if added else [])]

    return rule


def _before(looks: Looks, reach: Sequence[int], strides: Sequence[int]) -> Sequence[int]:
    """So many positions are padded in front along each axis."""
    mode = looks.said("auto_pad", b"NOTSET")
    if not mode.startswith(b"SAME"):
        return list(looks.said("pads", [0] * len(reach)))[: len(reach)]
    sizes = [size_of(parts) for parts in looks.at(0)[2:]]
    lacking = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(sizes, strides, reach, strict=True)]
    return [-(-one // 2) if mode == b"SAME_LOWER" else one // 2 for one in lacking]


def reduced(looks: Looks) -> Seen:
    """It sees all positions of what it sums over."""
    x = looks.at(0)
    name = looks.call.node.operator
    over = [looks.said("axis", 0)] if name.startswith("Arg") else looks.numbers("axes", 1)
    if not over and looks.said("noop_with_empty_axes"):
        raise Unclear
    found, spans = dimensions.reduced(x, over or range(len(x)), kept=bool(looks.said("keepdims", 1)))
    return found, [Operand(0, spans)]


def pooled(looks: Looks) -> Seen:
    """It sees the whole map."""
    x = looks.at(0)
    found, spans = dimensions.reduced(x, range(2, len(x)), kept=True)
    return found, [Operand(0, spans)]


def softmax(looks: Looks) -> Seen:
    """Each position sees all along its dimension; before version 13 all along those behind it too."""
    x = looks.at(0)
    early = looks.graph.versions.get("ai.onnx", 13) < 13
    axis = looks.said("axis", 1 if early else -1) % len(x)
    return x, [Operand(0, everywhere(x[axis:] if early else [x[axis]]))]


def product(second: int = 1) -> "Rule":
    """(..., n, k) x (..., k, m): it sees all along k."""

    def rule(looks: Looks) -> Seen:
        a, b = looks.at(0), looks.at(second)
        if min(len(a), len(b)) < 2:
            raise Unclear
        a = (*a[:-2], a[-1], a[-2]) if looks.said("transA") else a
        b = (*b[:-2], b[-1], b[-2]) if looks.said("transB") else b
        a, b = (((Part(1),),) * (max(len(a), len(b)) - len(one)) + one for one in (a, b))
        found, spans = dimensions.product(a, b)
        pairs = zip((0, second), spans, strict=True)
        return found, [Operand(place, one) for place, one in pairs if place in looks.moving]

    return rule


def concatenated(looks: Looks) -> Seen:
    """Along a dimension without positions all are put side by side."""
    several = [looks.at(place) for place in range(len(looks.call.inputs))]
    axis = looks.said("axis", 0) % len(looks.out)
    found = dimensions.concatenated(several, axis, looks.out[axis])
    return found, [Operand(place, {}) for place in looks.moving]


def padded(looks: Looks) -> Seen:
    """With so many positions in front, each sees one that lies so many before it."""
    x, pads = looks.at(0), looks.numbers("pads", 1)
    if pads is None or looks.said("mode", b"constant") != b"constant" or looks.call.has(3):
        raise Unclear
    found, spans = dimensions.padded(x, {i: (pads[i], pads[i + len(x)]) for i in range(len(x))})
    return found, [Operand(0, spans)]


def turned(looks: Looks) -> Seen:
    """Dimensions change places."""
    x = looks.at(0)
    return tuple(x[i] for i in looks.said("perm", range(len(x))[::-1])), [Operand(0, {})]


def reshaped(looks: Looks) -> Seen:
    """Elements are regrouped in their order."""
    return dimensions.reshaped(looks.at(0), looks.out), [Operand(0, {})]


def sliced(looks: Looks) -> Seen:
    """Some positions are taken, from one on and perhaps every second."""
    x, starts = [*looks.at(0)], looks.numbers("starts", 1) or ()
    chosen = looks.numbers("axes", 3) or range(len(starts))
    steps = looks.numbers("steps", 4) or [1] * len(starts)
    spans = dict[int, Span]()
    for start, i, step in zip(starts, chosen, steps, strict=True):
        size, axes = size_of(x[i]), axes_of(x[i])
        if looks.out[i] == size and step == 1:
            continue
        first = min(start + size if start < 0 else start, size)
        if axes and (len(x[i]) > 1 or step < 1):
            raise Unclear
        spans |= {axis: Span(step, first, first) for axis in axes}
        x[i] = (Part(looks.out[i], *axes),)
    return tuple(x), [Operand(0, spans)]


def split(looks: Looks) -> Seen:
    """Along a dimension without positions it is taken apart."""
    x, axis = looks.at(0), looks.said("axis", 0)
    if axes_of(x[axis]):
        raise Unclear
    found = [*x]
    found[axis] = (Part(looks.out[axis]),)
    return tuple(found), [Operand(0, {})]


def gathered(looks: Looks) -> Seen:
    """Along a dimension without positions some are taken."""
    x = looks.at(0)
    axis = looks.said("axis", 0) % len(x)
    if axes_of(x[axis]) or 1 in looks.moving:
        raise Unclear
    return (*x[:axis], *plain(looks.call.input(1).sides), *x[axis + 1 :]), [Operand(0, {})]


Rule = Callable[[Looks], Seen]
"""It tells what one node saw. Raises Unclear."""


def _named(words: str, rule: Rule) -> Mapping[str, Rule]:
    return dict.fromkeys(words.split(), rule)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE.keys() - {"RotaryEmbedding", "DynamicQuantizeLinear"}, pointwise),
    **_named(
        "BatchNormalization LRN Cast CastLike Where Expand Equal Greater GreaterOrEqual Less LessOrEqual Not And Or Xor"
        " QuickGelu BiasGelu FastGelu QLinearSigmoid QLinearLeakyRelu QLinearAdd QLinearMul ReorderInput ReorderOutput",
        pointwise,
    ),
    **_named("Conv ConvInteger FusedConv", slid(1)),
    "QLinearConv": slid(3),
    **_named("MaxPool AveragePool LpPool QLinearAveragePool", slid()),
    **_named("GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool", pooled),
    **_named(
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp"
        " ReduceSumSquare ArgMax ArgMin",
        reduced,
    ),
    **_named("Softmax LogSoftmax", softmax),
    **_named("Gemm MatMul MatMulInteger FusedGemm FusedMatMul TransposeMatMul MatMulIntegerToFloat", product()),
    **_named("QLinearMatMul QGemm", product(3)),
    **_named(
        "LayerNormalization RMSNormalization SimplifiedLayerNormalization",
        normalised(lambda looks: range(looks.said("axis", -1) % len(looks.out), len(looks.out))),
    ),
    "InstanceNormalization": normalised(lambda looks: range(2, len(looks.out))),
    "GroupNormalization": normalised(lambda looks: range(1, len(looks.out))),
    "LpNormalization": normalised(lambda looks: [looks.said("axis", -1)]),
    "Concat": concatenated,
    "Pad": padded,
    "Transpose": turned,
    **_named("Reshape Flatten Squeeze Unsqueeze", reshaped),
    **_named("Identity Dropout", pointwise),
    "Slice": sliced,
    "Split": split,
    "Gather": gathered,
}
"""Operators of these names, of whichever domain, and what they see."""
