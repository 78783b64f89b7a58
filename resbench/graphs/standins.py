"""onnx infers no shapes behind some operators, most of them ONNX Runtime's own: a standard one stands in for each.

It stands there only while shapes are inferred; what counts is the operator that the file has.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import onnx

from resbench.graphs.graph import BLOCKED, MICROSOFT, STANDARD

StandIn = Callable[[Any], list[Any]]
"""It gives nodes with the same outputs."""


def _node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return onnx.helper.make_node(operator, inputs, outputs, **attributes)


def _as(operator: str, *places: int, without: tuple[str, ...] = ()) -> StandIn:
    """Take another operator, with those of its inputs that are there, and its attributes but for some."""

    def stand_in(node: Any) -> list[Any]:
        taken = [node.input[i] for i in places if i < len(node.input)]
        made = _node(operator, taken, list(node.output[:1]))
        made.attribute.extend(one for one in node.attribute if one.name not in ("domain", *without))
        return [made]

    return stand_in


def _last(inner: StandIn, *, always: bool = False) -> StandIn:
    """Where channels come last (N, H, W, C), put them behind N and back again around another operator."""

    def stand_in(node: Any) -> list[Any]:
        if not always and not any(one.name == "channels_last" and one.i for one in node.attribute):
            return inner(node)
        turned, (out, *_) = type(node)(), node.output
        turned.CopyFrom(node)
        turned.input[0], turned.output[0] = f"{out}/before", f"{out}/after"
        before = _node("Transpose", [node.input[0]], [f"{out}/before"], perm=[0, 3, 1, 2])
        return [before, *inner(turned), _node("Transpose", [f"{out}/after"], [out], perm=[0, 2, 3, 1])]

    return stand_in


def _same(node: Any) -> list[Any]:
    """The result has the shape and the type of the first input."""
    return [_node("Identity", [node.input[0]], [node.output[0]])]


def _fused_matmul(node: Any) -> list[Any]:
    """A product of turned matrices, of which the batches have equally many axes."""
    said = {one.name: one.i for one in node.attribute}
    a, b = "ji" if said.get("transA") else "ij", "kj" if said.get("transB") else "jk"
    return [_node("Einsum", list(node.input[:2]), list(node.output[:1]), equation=f"...{a},...{b}->...ik")]


def _by_matrix(node: Any, matrices: Set[str]) -> Any:
    """A product with one matrix for the whole batch: onnx's inference wants to be told."""
    if node.op_type == "Einsum" and node.input[1] in matrices:
        made = _node("Einsum", list(node.input), list(node.output))
        equation = next(one.s.decode() for one in node.attribute if one.name == "equation")
        made.attribute.append(onnx.helper.make_attribute("equation", equation.replace(",...", ",")))
        return made
    return node


def _to_float(node: Any) -> list[Any]:
    """A product of integers, as numbers."""
    inner = f"{node.output[0]}/product"
    cast = _node("Cast", [inner], list(node.output[:1]), to=onnx.TensorProto.FLOAT)
    return [_node("MatMul", list(node.input[:2]), [inner]), cast]


def _concatenated(node: Any) -> list[Any]:
    """Inputs are a scale and a zero point, and three of these for each tensor."""
    axis = next(one.i for one in node.attribute if one.name == "axis")
    return [_node("Concat", list(node.input[2::3]), list(node.output), axis=axis)]


def _constant(name: str, numbers: list[Any]) -> Any:
    return _node("Constant", [], [name], **{f"value_{'floats' if isinstance(numbers[0], float) else 'ints'}": numbers})


def _into_blocks(node: Any) -> list[Any]:
    """Channels are laid in blocks, the last of which may be padded: how far, the weights behind it tell."""
    if not any(one.name == "channels_last" and one.i for one in node.attribute):
        return _same(node)
    return [_node("Transpose", [node.input[0]], [node.output[0]], perm=[0, 3, 1, 2])]


def _out_of_blocks(node: Any) -> list[Any]:
    """Channels come out of blocks, without the padding."""
    said = {one.name: one.i for one in node.attribute}
    out = node.output[0]
    names = [f"{out}/{word}" for word in ("starts", "ends", "axes")]
    constants = [_constant(name, [number]) for name, number in zip(names, (0, said.get("channels", 0), 1), strict=True)]
    inner = f"{out}/channels" if said.get("channels_last") else out
    nodes = [*constants, _node("Slice", [node.input[0], *names], [inner])]
    return [*nodes, _node("Transpose", [inner], [out], perm=[0, 2, 3, 1])] if inner != out else nodes


def _upsampled(node: Any) -> list[Any]:
    scales = next(list(one.ints) for one in node.attribute if one.name == "scales")
    name = f"{node.output[0]}/scales"
    made = _node("Resize", [node.input[0], "", name], list(node.output))
    return [_constant(name, [float(scale) for scale in scales]), made]


FUSED = ("activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma", "alpha_out")

STAND_INS: Mapping[tuple[str, str], StandIn] = {
    ("", "GroupNormalization"): _same,
    ("", "SimplifiedLayerNormalization"): _same,
    ("", "Erf"): _same,  # which torch writes before there is one (opset 9)
    **{
        (MICROSOFT, name): _same
        for name in (
            "Gelu QuickGelu FastGelu BiasGelu SkipLayerNormalization SkipSimplifiedLayerNormalization RotaryEmbedding"
            " QLinearSigmoid QLinearLeakyRelu QLinearSoftmax"
        ).split()
    },
    (MICROSOFT, "FusedConv"): _as("Conv", 0, 1, 2, without=FUSED),
    (MICROSOFT, "FusedGemm"): _as("Gemm", 0, 1, 2, without=FUSED),
    (MICROSOFT, "FusedMatMul"): _fused_matmul,
    (MICROSOFT, "TransposeMatMul"): _fused_matmul,
    (MICROSOFT, "MatMulIntegerToFloat"): _to_float,
    (MICROSOFT, "DynamicQuantizeMatMul"): _to_float,
    (MICROSOFT, "QGemm"): _as("Gemm", 0, 3),
    (MICROSOFT, "QLinearConv"): _last(_as("QLinearConv", *range(9), without=("channels_last",))),
    (MICROSOFT, "NhwcFusedConv"): _last(_as("Conv", 0, 1, 2, without=FUSED), always=True),
    (MICROSOFT, "NhwcMaxPool"): _last(_as("MaxPool", 0), always=True),
    (MICROSOFT, "QLinearAdd"): _as("Add", 0, 3),
    (MICROSOFT, "QLinearMul"): _as("Mul", 0, 3),
    (MICROSOFT, "QLinearGlobalAveragePool"): _last(_as("GlobalAveragePool", 0, without=("channels_last",))),
    (MICROSOFT, "QLinearAveragePool"): _last(_as("AveragePool", 0, without=("channels_last",))),
    (MICROSOFT, "QLinearConcat"): _concatenated,
    (BLOCKED, "Conv"): _as("Conv", 0, 1, 2, without=FUSED),
    **{(BLOCKED, name): _as(name, 0) for name in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")},
    (BLOCKED, "ReorderInput"): _into_blocks,
    (BLOCKED, "ReorderOutput"): _out_of_blocks,
    (BLOCKED, "Upsample"): _upsampled,
    (MICROSOFT, "QuantizeLinear"): _as("QuantizeLinear", 0, 1, 2),
    (MICROSOFT, "DequantizeLinear"): _as("DequantizeLinear", 0, 1, 2),
}


def needed(node: Any) -> StandIn | None:
    """What stands in for a node; None for one that onnx knows, or that nobody does."""
    return STAND_INS.get(("" if node.domain in STANDARD else node.domain, node.op_type))


def is_strange(node: Any) -> bool:
    """Tell whether nobody knows the shape of what a node gives."""
    if needed(node):
        return False
    return node.domain not in STANDARD or not onnx.defs.has(node.op_type)


def with_stand_ins(graph: Any) -> None:
    """Put a stand-in for each node of a graph, and of the bodies in it, that needs one."""
    for node in graph.node:
        for one in node.attribute:
            if one.HasField("g"):
                with_stand_ins(one.g)
    if any(map(needed, graph.node)):
        matrices = {one.name for one in graph.initializer if len(one.dims) == 2}
        nodes = [_by_matrix(node, matrices) for node in _replaced(graph.node)]
        del graph.node[:]
        graph.node.extend(nodes)


def _replaced(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        found = needed(node)
        yield from found(node) if found else [node]
