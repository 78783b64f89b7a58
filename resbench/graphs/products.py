"""Convolutions, matrix products, attention and recurrent layers: the operators that take MACs.

The conventions are those of ``resbench.arch.layers``; ``docs/counting.md`` states them, and ``docs/onnx.md`` what an
operator of ONNX has more.
"""

from collections.abc import Mapping
from math import prod

from resbench.arch.kinds import Kind
from resbench.errors import ShapeError
from resbench.graphs.calls import Call, Formula, Operator, Work, at
from resbench.units import shape_text

WITH_MACS: frozenset[Kind] = frozenset(("convolution", "matrix product", "linear", "recurrent", "attention"))
"""Operators of these kinds take MACs."""

# -- convolutions and products ------------------------------------------------------------------------


def convolution(weight: int = 1, bias: int = 2) -> Formula:
    """Count each weight once per output position, and the bias for each output, from these places of the inputs."""

    def formula(call: Call) -> Work:
        sides, out = call.input(weight).sides, call.slid.size
        if call.node.operator == "Conv":
            _check_channels(call, sides[1] * call.number("group", 1))
        return out * prod(sides[1:]), call.has(bias) * out

    return formula


def _check_channels(call: Call, expected: int) -> None:
    """Raise ShapeError for an input of other channels: onnx infers a shape for it all the same."""
    given = call.input(0).sides
    if given[1] != expected:
        raise ShapeError(f"{call.title} expects {expected} channels, received {shape_text(given)}")


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


def matmul(more: int = 0) -> Formula:
    """Count (..., n, k) x (..., k, m): n k m for each of the batch; and for each output so many operations more."""
    return lambda call: (call.out.size * _inner(call), more * call.out.size)


def _inner(call: Call) -> int:
    """So many products are summed for each element."""
    sides = call.input(0).sides
    return sides[-2] if call.number("transA", 0) and len(sides) > 1 else sides[-1]


def gemm(call: Call) -> Work:
    """Count a b + c, perhaps with an activation behind it. Inputs: a, b, c."""
    out = call.out.size
    return out * _inner(call), (call.has(2) + ("activation" in call.node.attributes)) * out


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


def attention(call: Call) -> Work:
    """Count Q K^T and the weights times V, N H L S (E + Ev); scale and softmax are 4 operations a weight, a mask one
    more. Inputs: q, k, v as (N, H, L, E), or as (N, L, H E) with the heads said; a mask; a past of k and of v."""
    q, k, v = (call.input(i).sides for i in range(3))
    heads = q[1] if len(q) == 4 else call.number("q_num_heads", 1)
    groups = k[1] if len(k) == 4 else call.number("kv_num_heads", heads)
    length, width = q[-2], q[-1] if len(q) == 4 else q[-1] // heads
    keys = k[-2] + (call.input(4).sides[-2] if call.has(4) else 0)
    value = v[-1] if len(v) == 4 else v[-1] // groups
    weights = q[0] * heads * length * keys
    return weights * (width + value), (4 + call.has(3)) * weights


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


# -- which operator has which -------------------------------------------------------------------------

PRODUCTS: Mapping[str, Operator] = {
    "Conv": Operator(convolution(), "convolution", at(1, 2)),
    "ConvTranspose": Operator(transposed, "convolution", at(1, 2)),
    "DeformConv": Operator(deformable, "convolution", at(1, 3)),
    "ConvInteger": Operator(convolution(bias=99), "convolution", at(1), at(2, 3)),
    "QLinearConv": Operator(convolution(3, 8), "convolution", at(3, 8), at(1, 2, 4, 5, 6, 7)),
    "Gemm": Operator(gemm, "matrix product", at(0, 1, 2)),
    "MatMul": Operator(matmul(), "matrix product", at(0, 1)),
    "MatMulInteger": Operator(matmul(), "matrix product", at(0, 1), at(2, 3)),
    "QLinearMatMul": Operator(matmul(), "matrix product", at(0, 3), at(1, 2, 4, 5, 6, 7)),
    "Einsum": Operator(einsum, "matrix product", at(0, 1, 2, 3)),
    "Attention": Operator(attention, "attention"),
    **dict.fromkeys(CELLS, Operator(recurrent, "recurrent", at(1, 2, 3, 7))),
}

RUNTIME_PRODUCTS: Mapping[str, Operator] = {
    **dict.fromkeys(("FusedConv", "NhwcFusedConv"), Operator(fused_convolution, "convolution", at(1, 2))),
    "FusedGemm": Operator(gemm, "matrix product", at(0, 1, 2)),
    "FusedMatMul": Operator(matmul(), "matrix product", at(0, 1)),
    "FusedMatMulActivation": Operator(matmul(more=1), "matrix product", at(0, 1)),
    "TransposeMatMul": Operator(matmul(), "matrix product", at(0, 1)),
    "MatMulIntegerToFloat": Operator(
        lambda call: (call.out.size * call.input(0).sides[-1], (1 + call.has(6)) * call.out.size),
        "matrix product",
        at(0, 1, 6),
        at(2, 3, 4, 5),
    ),
    "DynamicQuantizeMatMul": Operator(
        lambda call: (
            call.out.size * call.input(0).sides[-1],
            3 * call.input(0).size + (1 + call.has(4)) * call.out.size,
        ),
        "matrix product",
        at(1, 4),
        at(2, 3),
    ),
    "QGemm": Operator(
        lambda call: (call.out.size * _inner(call), call.has(6) * call.out.size),
        "matrix product",
        at(0, 3, 6),
        at(1, 2, 4, 5, 7, 8),
    ),
    "MatMulNBits": Operator(packed, "linear", at(1, 5), at(2, 3)),
    "Attention": Operator(microsoft_attention, "attention", at(1, 2)),
    "MultiHeadAttention": Operator(multi_head, "attention", at(3)),
}
"""ONNX Runtime writes these in a domain of its own."""
