"""What operators without MACs take: by the size of what they read or give, or nothing where they move and compare."""

from collections.abc import Mapping
from math import prod

from resbench.graphs.calls import Call, Formula, Operator, Work, at

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
    return 0, prod(call.node.attributes["kernel_shape"]) * call.slid.size


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

_SUM, _PRODUCT = Operator(per_output(1), "sum", at(0, 1)), Operator(per_output(1), "product", at(0, 1))
_ONE, _FUNCTION = Operator(per_output(1), "activation"), Operator(per_output(1), "function")
_REDUCED, _NORM = Operator(per_input(), "reduction"), Operator(per_input(), "function")
_FREE = Operator(free, "rearrangement")
_LAYER_NORM = Operator(per_output(5), "normalisation", at(1, 2))
_POOL, _MAX_POOL = Operator(pool, "pooling"), Operator(pool, "max pooling")


def _named(words: str, operator: Operator) -> Mapping[str, Operator]:
    return dict.fromkeys(words.split(), operator)


ELEMENTWISE: Mapping[str, Operator] = {
    **_named("Add Sub", _SUM),
    **_named("Mul Div Pow Mod PRelu", _PRODUCT),
    **_named("Neg Floor Ceil Round Sign Abs", Operator(per_output(1), "sum")),
    **_named("Sum", Operator(among, "sum", at(0, 1, 2, 3))),
    **_named("Max Min", Operator(among, "function")),
    "Mean": Operator(average, "sum"),
    **_named("Relu LeakyRelu Sigmoid Tanh Exp Sqrt Reciprocal Elu Selu Celu HardSigmoid", _ONE),
    **_named(
        "Gelu Mish HardSwish Swish Softplus Softsign ThresholdedRelu Clip Shrink Erf Log Sin Cos Tan Asin Acos Atan"
        " Sinh Cosh Asinh Acosh Atanh BitShift",
        _FUNCTION,
    ),
    **_named("Softmax LogSoftmax", Operator(per_output(3), "activation")),
    "QuantizeLinear": Operator(per_output(1), "scaling", held=at(1, 2)),
    "DequantizeLinear": Operator(per_output(1), "scaling", at(0), at(1, 2)),
    "DynamicQuantizeLinear": Operator(per_input(3), "scaling"),
    "RotaryEmbedding": Operator(per_output(3), "product", held=at(1, 2)),
}

WINDOWS: Mapping[str, Operator] = {
    "MaxPool": _MAX_POOL,
    **_named("AveragePool LpPool", _POOL),
    "GlobalAveragePool": Operator(per_input(), "pooling"),
    "GlobalLpPool": Operator(per_input(), "pooling"),
    "GlobalMaxPool": Operator(per_input(), "max pooling"),
    "MaxRoiPool": Operator(per_input(), "max pooling"),
    **_named("Resize Upsample", Operator(resized, "resampling")),
    "GridSample": Operator(sampled, "product"),
    "AffineGrid": Operator(per_output(4), "resampling"),
    "Col2Im": Operator(per_input(), "rearrangement"),
    "BatchNormalization": Operator(per_output(2), "normalisation", at(1, 2), at(3, 4)),
    "InstanceNormalization": _LAYER_NORM,
    "LayerNormalization": _LAYER_NORM,
    "GroupNormalization": _LAYER_NORM,
    "RMSNormalization": Operator(per_output(4), "normalisation", at(1)),
    "SimplifiedLayerNormalization": Operator(per_output(4), "normalisation", at(1)),
    "MeanVarianceNormalization": Operator(per_output(4), "normalisation"),
    "LpNormalization": Operator(per_output(2), "normalisation"),
    "LRN": Operator(neighbours, "normalisation"),
    **_named("ReduceSum ReduceMean ReduceMax ReduceMin ArgMax ArgMin CumSum", _REDUCED),
    **_named("ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare CumProd", _NORM),
    **_named("ScatterElements ScatterND Scatter", Operator(scattered, "rearrangement")),
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
    "Gather": Operator(free, "embedding", at(0)),
    "Concat": Operator(free, "concatenation", at(*range(64))),
    **_named("SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt SequenceLength", _FREE),
    **_named("SplitToSequence ConcatFromSequence Optional OptionalGetElement OptionalHasElement", _FREE),
}

RUNTIME_OTHERS: Mapping[str, Operator] = {
    **_named("Gelu QuickGelu QLinearSigmoid QLinearLeakyRelu", _FUNCTION),
    **_named("BiasGelu", Operator(per_output(2), "function", at(1))),
    "FastGelu": Operator(lambda call: (0, (1 + call.has(1)) * call.out.size), "function", at(1)),
    "QLinearAdd": Operator(per_output(1), "sum", held=at(1, 2, 4, 5, 6, 7)),
    "QLinearMul": Operator(per_output(1), "product", held=at(1, 2, 4, 5, 6, 7)),
    "QLinearSoftmax": Operator(per_output(3), "activation"),
    "QLinearAveragePool": _POOL,
    "QLinearGlobalAveragePool": Operator(per_input(), "pooling"),
    "QLinearConcat": Operator(free, "concatenation"),
    **_named(
        "SkipLayerNormalization SkipSimplifiedLayerNormalization", Operator(skip_norm, "normalisation", at(2, 3, 4))
    ),
    "NhwcMaxPool": _MAX_POOL,
}
"""ONNX Runtime writes these in a domain of its own."""
