"""Each operator of ONNX has a formula for its MACs and elementwise operations, and a kind.

The conventions are those of ``resbench.arch.layers``; ``docs/counting.md`` states them, and ``docs/onnx.md`` what an
operator of ONNX has more.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

from resbench.arch.kinds import Kind
from resbench.graphs.graph import Flow, GraphNode

Work = tuple[int, int]
"""Work is MACs, and elementwise operations."""

MICROSOFT, BLOCKED = "com.microsoft.", "com.microsoft.nchwc."
"""ONNX Runtime writes operators of its own: fused ones, and those whose channels lie in blocks."""


class Call(NamedTuple):
    """A node runs on these tensors; one that is left out is None."""

    node: GraphNode
    inputs: tuple[Flow | None, ...]
    outputs: tuple[Flow | None, ...]

    def input(self, place: int) -> Flow:
        """The tensor at this place, which the operator needs."""
        found = self.inputs[place]
        assert found is not None
        return found

    def has(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] is not None

    @property
    def out(self) -> Flow:
        """Its first output."""
        found = self.outputs[0]
        assert found is not None
        return found

    def number(self, attribute: str, otherwise: int) -> int:
        return int(self.node.attributes.get(attribute, otherwise))


Formula = Callable[[Call], Work]


class Operator(NamedTuple):
    """An operator is counted by this formula."""

    formula: Formula
    kind: Kind
    learned: frozenset[int] = frozenset()
    """At these places its inputs are weights, where the file holds them."""
    held: frozenset[int] = frozenset()
    """At these places they are what is held and not learned: statistics, scales."""


# -- convolutions and products ------------------------------------------------------------------------


def convolution(weight: int = 1, bias: int = 2, more: int = 0) -> Formula:
    """Count each weight once per output position, and for each output the bias and so many operations ``more``."""

    def formula(call: Call) -> Work:
        out = call.out.size
        return out * prod(call.input(weight).sides[1:]), (more + call.has(bias)) * out

    return formula


def transposed(call: Call) -> Work:
    """Count each weight once per input position. Inputs: x, W, B."""
    return call.input(0).size * prod(call.input(1).sides[1:]), call.has(2) * call.out.size


def fused_convolution(call: Call) -> Work:
    """Count a convolution with the sum of another tensor and an activation behind it. Inputs: x, W, B, z."""
    macs, elementwise = convolution()(call)
    return macs, elementwise + (call.has(3) + ("activation" in call.node.attributes)) * call.out.size


def deformable(call: Call) -> Work:
    """Count a convolution whose samples lie between pixels, four of which are read for each, and perhaps weighted by a
    mask. Inputs: x, W, offset, B, mask."""
    out, weight = call.out, call.input(1).sides
    samples = call.input(0).sides[1] * prod(weight[2:]) * out.size // out.sides[1]
    return out.size * prod(weight[1:]), (4 + call.has(4)) * samples + call.has(3) * out.size


def matmul(a: int = 0, more: int = 0) -> Formula:
    """Count (..., n, k) x (..., k, m): n k m for each of the batch; and for each output so many operations more."""
    return lambda call: (call.out.size * _inner(call, a), more * call.out.size)


def _inner(call: Call, a: int) -> int:
    sides = call.input(a).sides
    return sides[-2] if call.number("transA", 0) and len(sides) > 1 else sides[-1]


def gemm(call: Call) -> Work:
    """Count a b + c, perhaps with an activation behind it. Inputs: a, b, c."""
    out = call.out.size
    return out * _inner(call, 0), (call.has(2) + ("activation" in call.node.attributes)) * out


def packed(call: Call) -> Work:
    """Count rows of ``K`` elements by packed weights: K for each element of the result. Inputs: a, b, scales, zero
    points, indices, bias."""
    return call.number("K", 0) * call.out.size, call.has(5) * call.out.size


def einsum(call: Call) -> Work:
    """Count a product of two tensors once for each combination of their indices; more are multiplied from the left on.

    What appears in one of two alone and not in the result is summed before, an operation an element.
    """
    equation = str(call.node.attributes["equation"].decode()).replace(" ", "")
    left, _, right = equation.partition("->")
    terms = left.split(",")
    shapes = [call.input(i).sides for i in range(len(terms))]
    sizes: dict[str, int] = {}
    names = []
    for term, shape in zip(terms, shapes, strict=True):
        letters = _letters(term, len(shape))
        names.append(letters)
        for letter, side in zip(letters, shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), side)
    result = set(_letters(right, len(call.out.sides))) if "->" in equation else _once(names)
    macs = elementwise = 0
    whole = set(names[0])
    if len(names) == 1:
        return 0, call.input(0).size if whole - result else 0
    for i, letters in enumerate(names[1:], 1):
        later = result.union(*names[i + 1 :])
        both = whole | set(letters)
        for one, other in ((whole, set(letters)), (set(letters), whole)):
            alone = one - other - later
            elementwise += prod(sizes[letter] for letter in one) if alone else 0
            both -= alone
        macs += prod(sizes[letter] for letter in both)
        whole = both & later
    return macs, elementwise


def _letters(term: str, rank: int) -> list[str]:
    """Name every axis of a term, those of an ellipsis from the right."""
    before, dots, after = term.partition("...")
    between = [f"...{i}" for i in range(rank - len(before) - len(after), 0, -1)] if dots else []
    return [*before, *between, *after]


def _once(names: list[list[str]]) -> set[str]:
    """Where no result is said it has the letters that appear once."""
    every = [letter for letters in names for letter in letters]
    return {letter for letter in every if every.count(letter) == 1 or letter.startswith("...")}


def attention(scores: int = 4) -> Formula:
    """Count Q K^T and the weights times V, N H L S (E + Ev); scale and softmax are 4 operations a weight, a mask one
    more. Inputs: q, k, v as (N, H, L, E), or as (N, L, H E) with the heads said; a mask; a past of k and of v."""

    def formula(call: Call) -> Work:
        q, k, v = (call.input(i).sides for i in range(3))
        heads = q[1] if len(q) == 4 else call.number("q_num_heads", 1)
        groups = k[1] if len(k) == 4 else call.number("kv_num_heads", heads)
        length, width = q[-2], q[-1] if len(q) == 4 else q[-1] // heads
        keys = k[-2] + (call.input(4).sides[-2] if call.has(4) else 0)
        value = v[-1] if len(v) == 4 else v[-1] // groups
        weights = q[0] * heads * length * keys
        return weights * (width + value), (scores + call.has(3)) * weights

    return formula


def microsoft_attention(call: Call) -> Work:
    """Count the products that make q, k and v, and attention. Inputs: x (N, L, C), W (C, 3 H E), bias, mask, past."""
    n, length, _ = call.input(0).sides
    wide = call.input(1).sides[1]
    heads = call.number("num_heads", 1)
    q, _, v = call.node.attributes.get("qkv_hidden_sizes") or (wide // 3,) * 3
    keys = length + (call.input(4).sides[-2] if call.has(4) else 0)
    rows, weights = n * length, n * heads * length * keys
    macs = rows * prod(call.input(1).sides) + weights * (q + v) // heads
    return macs, call.has(2) * rows * wide + (4 + call.has(5)) * weights


def multi_head(call: Call) -> Work:
    """Count attention of several heads. Inputs: q, k, v as (N, L, H E) or k and v as (N, H, S, E), bias, ..."""
    q = call.input(0).sides
    k, v = (call.inputs[i].sides if call.has(i) else q for i in (1, 2))  # type: ignore[union-attr]
    heads = call.number("num_heads", 1)
    if len(q) == 5:  # (N, L, H, 3, E)
        width = value = q[-1]
        n, length, keys = q[0], q[1], q[1]
    elif len(k) == 5:  # (N, S, H, 2, E)
        n, length, keys, width, value = q[0], q[1], k[1], q[2] // heads, k[-1]
    else:
        n, length, width = q[0], q[1], q[2] // heads
        keys, value = (k[2], v[3]) if len(k) == 4 else (k[1], v[2] // heads)
    past = call.input(6).sides[2] if call.has(6) else 0
    weights = n * heads * length * (keys + past)
    bias = call.has(3) * (n * heads * (length * width + keys * (width + value)))
    return weights * (width + value), bias + (4 + call.has(5)) * weights


# -- recurrent layers ---------------------------------------------------------------------------------

CELLS: Mapping[str, tuple[int, int]] = {"LSTM": (13, 8), "GRU": (10, 6), "RNN": (2, 2)}
"""A step takes so many operations for each element of the state, and with biases so many more. An LSTM: both products'
sum 4, sigmoids 3, tanh 2, c = f c + i g 3, h = o tanh(c) 1; a GRU: sums 2, sigmoids 2, n = tanh(x + r h) 3,
h = n + z (h - n) 3; two biases go to each gate."""

PEEPHOLES = 6
"""Three gates of an LSTM see the state, each by a product and a sum."""


def recurrent(call: Call) -> Work:
    """Count both weight matrices and the cell at every step, each direction. Inputs: x, W, R, B, lengths, h, c, P."""
    x, w, r = (call.input(i).sides for i in range(3))
    steps = x[0] * x[1]
    operations, biases = CELLS[call.node.operator]
    operations += biases * call.has(3) + PEEPHOLES * call.has(7)
    return steps * (prod(w) + prod(r)), steps * r[0] * r[2] * operations


# -- work by size -------------------------------------------------------------------------------------


def per_output(operations: int) -> Formula:
    """Count so many operations for each element of the result."""
    return lambda call: (0, operations * call.out.size)


def per_input(operations: int = 1, place: int = 0) -> Formula:
    """Count so many operations for each element that is read."""
    return lambda call: (0, operations * call.input(place).size)


def among(call: Call) -> Work:
    """Count k operands: k - 1 operations for each element of the result."""
    return 0, (sum(one is not None for one in call.inputs) - 1) * call.out.size


def average(call: Call) -> Work:
    """Count k operands: their sums, and a division."""
    return 0, sum(one is not None for one in call.inputs) * call.out.size


def pool(call: Call) -> Work:
    """Count the elements of the window for each output."""
    return 0, prod(call.node.attributes["kernel_shape"]) * call.out.size


def neighbours(call: Call) -> Work:
    """Count the sum of n neighbours' squares: n + 5 operations an element."""
    return 0, (call.number("size", 1) + 5) * call.out.size


def resized(call: Call) -> Work:
    """Count the pixels read for each output: of the nearest none, linear two along each axis, cubic four.

    Raises LookupError where windows grow as the map shrinks: nobody has a formula for it here.
    """
    if call.number("antialias", 0):
        raise LookupError
    mode = call.node.attributes.get("mode", b"nearest")
    taps = {b"nearest": 0, b"linear": 2, b"cubic": 4}[mode]
    axes = max(len(call.input(0).sides) - 2, 1)
    return 0, taps**axes * call.out.size if taps else 0


def sampled(call: Call) -> Work:
    """Count the pixels read for each output at a place of a grid."""
    mode = call.node.attributes.get("mode", b"bilinear")
    taps = {b"nearest": 0, b"bicubic": 4, b"cubic": 4}.get(mode, 2)
    return 0, taps ** (len(call.out.sides) - 2) * call.out.size if taps else 0


def scattered(call: Call) -> Work:
    """Count an operation for each value that is put together with what is there."""
    reduction = call.node.attributes.get("reduction", b"none")
    return 0, 0 if reduction == b"none" else call.input(2).size


def skip_norm(call: Call) -> Work:
    """Count the sum of two tensors, and a layer norm of it. Inputs: x, skip, gamma, beta, bias."""
    return 0, (1 + (4 if "Simplified" in call.node.operator else 5) + call.has(4)) * call.out.size


def free(call: Call) -> Work:
    """Count nothing: it moves, makes, draws or compares."""
    return 0, 0


# -- which operator has which -------------------------------------------------------------------------

O = Operator  # noqa: E741  a table of them
_AT: Callable[..., frozenset[int]] = lambda *places: frozenset(places)  # noqa: E731
_CONV = O(convolution(), "convolution", _AT(1, 2))
_QLINEAR_CONV = O(convolution(3, 8), "convolution", _AT(3, 8), _AT(1, 2, 4, 5, 6, 7))

PRODUCTS: Mapping[str, Operator] = {
    "Conv": _CONV,
    "ConvTranspose": O(transposed, "convolution", _AT(1, 2)),
    "DeformConv": O(deformable, "convolution", _AT(1, 3)),
    "ConvInteger": O(convolution(bias=99), "convolution", _AT(1), _AT(2, 3)),
    "QLinearConv": _QLINEAR_CONV,
    "Gemm": O(gemm, "matrix product", _AT(0, 1, 2)),
    "MatMul": O(matmul(), "matrix product", _AT(0, 1)),
    "MatMulInteger": O(matmul(), "matrix product", _AT(0, 1), _AT(2, 3)),
    "QLinearMatMul": O(matmul(), "matrix product", _AT(0, 3), _AT(1, 2, 4, 5, 6, 7)),
    "Einsum": O(einsum, "matrix product", _AT(0, 1, 2, 3)),
    "Attention": O(attention(), "attention"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), O(recurrent, "recurrent", _AT(1, 2, 3, 7))),
}

MICROSOFT_PRODUCTS: Mapping[str, Operator] = {
    "FusedConv": O(fused_convolution, "convolution", _AT(1, 2)),
    "NhwcFusedConv": O(fused_convolution, "convolution", _AT(1, 2)),
    "QLinearConv": _QLINEAR_CONV,
    "FusedGemm": O(gemm, "matrix product", _AT(0, 1, 2)),
    "FusedMatMul": O(matmul(), "matrix product", _AT(0, 1)),
    "FusedMatMulActivation": O(matmul(more=1), "matrix product", _AT(0, 1)),
    "TransposeMatMul": O(matmul(), "matrix product", _AT(0, 1)),
    "MatMulIntegerToFloat": O(
        lambda call: (call.out.size * call.input(0).sides[-1], (1 + call.has(6)) * call.out.size),
        "matrix product",
        _AT(0, 1, 6),
        _AT(2, 3, 4, 5),
    ),
    "DynamicQuantizeMatMul": O(
        lambda call: (
            call.out.size * call.input(0).sides[-1],
            3 * call.input(0).size + (1 + call.has(4)) * call.out.size,
        ),
        "matrix product",
        _AT(1, 4),
        _AT(2, 3),
    ),
    "QGemm": O(
        lambda call: (call.out.size * _inner(call, 0), call.has(6) * call.out.size),
        "matrix product",
        _AT(0, 3, 6),
        _AT(1, 2, 4, 5, 7, 8),
    ),
    "MatMulNBits": O(packed, "linear", _AT(1, 5), _AT(2, 3)),
    "Attention": O(microsoft_attention, "attention", _AT(1, 2)),
    "MultiHeadAttention": O(multi_head, "attention", _AT(3)),
}

_SUM, _PRODUCT = O(per_output(1), "sum", _AT(0, 1)), O(per_output(1), "product", _AT(0, 1))
_ONE, _FUNCTION = O(per_output(1), "activation"), O(per_output(1), "function")
_REDUCED, _NORM = O(per_input(), "reduction"), O(per_input(), "function")
_FREE = O(free, "rearrangement")
_LAYER_NORM = O(per_output(5), "normalisation", _AT(1, 2))
_POOL, _MAX_POOL = O(pool, "pooling"), O(pool, "max pooling")


def _named(words: str, operator: Operator) -> Mapping[str, Operator]:
    return dict.fromkeys(words.split(), operator)


ELEMENTWISE: Mapping[str, Operator] = {
    **_named("Add Sub", _SUM),
    **_named("Mul Div Pow Mod PRelu", _PRODUCT),
    **_named("Neg Floor Ceil Round Sign Abs", O(per_output(1), "sum")),
    **_named("Sum", O(among, "sum", _AT(0, 1, 2, 3))),
    **_named("Max Min", O(among, "function")),
    "Mean": O(average, "sum"),
    **_named("Relu LeakyRelu Sigmoid Tanh Exp Sqrt Reciprocal Elu Selu Celu HardSigmoid", _ONE),
    **_named(
        "Gelu Mish HardSwish Swish Softplus Softsign ThresholdedRelu Clip Shrink Erf Log Sin Cos Tan Asin Acos Atan"
        " Sinh Cosh Asinh Acosh Atanh BitShift",
        _FUNCTION,
    ),
    **_named("Softmax LogSoftmax", O(per_output(3), "activation")),
    "QuantizeLinear": O(per_output(1), "scaling", held=_AT(1, 2)),
    "DequantizeLinear": O(per_output(1), "scaling", _AT(0), _AT(1, 2)),
    "DynamicQuantizeLinear": O(per_input(3), "scaling"),
    "RotaryEmbedding": O(per_output(3), "product", held=_AT(1, 2)),
}

WINDOWS: Mapping[str, Operator] = {
    "MaxPool": _MAX_POOL,
    **_named("AveragePool LpPool", _POOL),
    "GlobalAveragePool": O(per_input(), "pooling"),
    "GlobalLpPool": O(per_input(), "pooling"),
    "GlobalMaxPool": O(per_input(), "max pooling"),
    "MaxRoiPool": O(per_input(), "max pooling"),
    **_named("Resize Upsample", O(resized, "resampling")),
    "GridSample": O(sampled, "product"),
    "AffineGrid": O(per_output(4), "resampling"),
    "Col2Im": O(per_input(), "rearrangement"),
    "BatchNormalization": O(per_output(2), "normalisation", _AT(1, 2), _AT(3, 4)),
    "InstanceNormalization": _LAYER_NORM,
    "LayerNormalization": _LAYER_NORM,
    "GroupNormalization": _LAYER_NORM,
    "RMSNormalization": O(per_output(4), "normalisation", _AT(1)),
    "SimplifiedLayerNormalization": O(per_output(4), "normalisation", _AT(1)),
    "MeanVarianceNormalization": O(per_output(4), "normalisation"),
    "LpNormalization": O(per_output(2), "normalisation"),
    "LRN": O(neighbours, "normalisation"),
    **_named("ReduceSum ReduceMean ReduceMax ReduceMin ArgMax ArgMin CumSum", _REDUCED),
    **_named("ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare CumProd", _NORM),
    **_named("ScatterElements ScatterND Scatter", O(scattered, "rearrangement")),
    "TensorScatter": _FREE,
}

MOVES: Mapping[str, Operator] = {
    **_named(
        "Transpose Slice Split Pad Expand Tile DepthToSpace SpaceToDepth GatherElements GatherND Where OneHot Cast"
        " CastLike ReverseSequence Compress Unique TopK NonZero CenterCropPad EyeLike Range ConstantOfShape BitCast"
        " MaxUnpool Trilu"
        " Equal Greater GreaterOrEqual Less LessOrEqual Not And Or Xor IsNaN IsInf BitwiseAnd BitwiseOr BitwiseXor"
        " BitwiseNot RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial HannWindow"
        " HammingWindow BlackmanWindow Hardmax",
        _FREE,
    ),
    "Gather": O(free, "embedding", _AT(0)),
    "Concat": O(free, "concatenation", _AT(*range(64))),
    **_named("SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt SequenceLength", _FREE),
    **_named("SplitToSequence ConcatFromSequence Optional OptionalGetElement OptionalHasElement", _FREE),
}

MICROSOFT_OTHERS: Mapping[str, Operator] = {
    **_named("Gelu QuickGelu QLinearSigmoid QLinearLeakyRelu", _FUNCTION),
    **_named("BiasGelu", O(per_output(2), "function", _AT(1))),
    "FastGelu": O(lambda call: (0, (1 + call.has(1)) * call.out.size), "function", _AT(1)),
    "QLinearAdd": O(per_output(1), "sum", held=_AT(1, 2, 4, 5, 6, 7)),
    "QLinearMul": O(per_output(1), "product", held=_AT(1, 2, 4, 5, 6, 7)),
    "QLinearSoftmax": O(per_output(3), "activation"),
    "QLinearAveragePool": _POOL,
    "QLinearGlobalAveragePool": O(per_input(), "pooling"),
    "QLinearConcat": O(free, "concatenation"),
    **_named("SkipLayerNormalization SkipSimplifiedLayerNormalization", O(skip_norm, "normalisation", _AT(2, 3, 4))),
    "QuantizeLinear": ELEMENTWISE["QuantizeLinear"],
    "DequantizeLinear": ELEMENTWISE["DequantizeLinear"],
    "RotaryEmbedding": ELEMENTWISE["RotaryEmbedding"],
    "NhwcMaxPool": _MAX_POOL,
}

IN_BLOCKS: Mapping[str, Operator] = {
    "Conv": MICROSOFT_PRODUCTS["FusedConv"],
    "MaxPool": _MAX_POOL,
    "AveragePool": _POOL,
    "GlobalAveragePool": WINDOWS["GlobalAveragePool"],
    "GlobalMaxPool": WINDOWS["GlobalMaxPool"],
    "ReorderInput": _FREE,
    "ReorderOutput": _FREE,
    "Upsample": O(resized, "resampling"),
}

OPERATORS: Mapping[str, Operator] = {
    **PRODUCTS,
    **ELEMENTWISE,
    **WINDOWS,
    **MOVES,
    **{MICROSOFT + name: one for name, one in (*MICROSOFT_PRODUCTS.items(), *MICROSOFT_OTHERS.items())},
    **{BLOCKED + name: one for name, one in IN_BLOCKS.items()},
}

LOOKS = frozenset("Identity Reshape Flatten Squeeze Unsqueeze Dropout".split())
"""These give another look at a tensor, and have no row, as views have none."""

ASKS = frozenset("Shape Size".split())
"""What these give does not depend on values."""
