"""What each operator takes: by torch's tracer on the module of the same work, or by hand."""

import numpy as np
import pytest
import torch
from onnx_graphs import counted, model, node, number, one, value
from torch import nn

from resbench.costs.trace import trace


class Call(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def traced(function, *shapes, train=False):
    """MACs and elementwise operations that the tracer finds."""
    module = function if isinstance(function, nn.Module) else Call(function)
    total = trace(module.eval(), tuple(torch.zeros(shape) for shape in shapes)).total
    return total.macs, total.elementwise


F = nn.functional
X = (2, 8, 9, 10)

AS_TORCH = {
    "conv": (
        lambda: one("Conv", "x w b", {"x": X}, {"w": (12, 4, 3, 5), "b": 12}, group=2, strides=[2, 1]),
        lambda: traced(nn.Conv2d(8, 12, (3, 5), (2, 1), groups=2), X),
    ),
    "conv1d without a bias": (
        lambda: one("Conv", "x w", {"x": (2, 8, 20)}, {"w": (6, 8, 3)}, dilations=[2]),
        lambda: traced(nn.Conv1d(8, 6, 3, dilation=2, bias=False), (2, 8, 20)),
    ),
    "transposed": (
        lambda: one("ConvTranspose", "x w b", {"x": X}, {"w": (8, 3, 3, 3), "b": 6}, group=2, strides=[2, 2]),
        lambda: traced(nn.ConvTranspose2d(8, 6, 3, 2, groups=2), X),
    ),
    "gemm": (
        lambda: one("Gemm", "x w b", {"x": (4, 7)}, {"w": (5, 7), "b": 5}, transB=1),
        lambda: traced(nn.Linear(7, 5), (4, 7)),
    ),
    "matmul": (
        lambda: one("MatMul", "x z", {"x": (3, 4, 5), "z": (5, 6)}),
        lambda: traced(torch.matmul, (3, 4, 5), (5, 6)),
    ),
    "matmul of a vector": (
        lambda: one("MatMul", "x z", {"x": (3, 4, 5), "z": (5,)}),
        lambda: traced(torch.matmul, (3, 4, 5), (5,)),
    ),
    "matmul over a broadcast batch": (
        lambda: one("MatMul", "x z", {"x": (2, 1, 4, 5), "z": (3, 5, 6)}),
        lambda: traced(torch.matmul, (2, 1, 4, 5), (3, 5, 6)),
    ),
    "einsum": (
        lambda: one("Einsum", "x z", {"x": (2, 3, 4, 5), "z": (2, 3, 6, 5)}, equation="bhqd,bhkd->bhqk"),
        lambda: traced(lambda x, z: torch.einsum("bhqd,bhkd->bhqk", x, z), (2, 3, 4, 5), (2, 3, 6, 5)),
    ),
    "einsum with an ellipsis": (
        lambda: one("Einsum", "x z", {"x": (2, 3, 4, 5), "z": (5, 6)}, equation="...i,ij->...j"),
        lambda: traced(lambda x, z: torch.einsum("...i,ij->...j", x, z), (2, 3, 4, 5), (5, 6)),
    ),
    "einsum of three": (
        lambda: one("Einsum", "a b c", {"a": (3, 4), "b": (4, 5), "c": (5, 6)}, equation="ij,jk,kl->il"),
        lambda: traced(lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c), (3, 4), (4, 5), (5, 6)),
    ),
    "batch norm": (
        lambda: one("BatchNormalization", "x g b m v", {"x": X}, dict.fromkeys("gbmv", 8)),
        lambda: traced(nn.BatchNorm2d(8), X),
    ),
    "layer norm": (
        lambda: one("LayerNormalization", "x g b", {"x": (2, 5, 8)}, {"g": 8, "b": 8}),
        lambda: traced(nn.LayerNorm(8), (2, 5, 8)),
    ),
    "group norm": (
        lambda: one("GroupNormalization", "x g b", {"x": X}, {"g": 8, "b": 8}, num_groups=4, opset=21),
        lambda: traced(nn.GroupNorm(4, 8), X),
    ),
    "RMS norm": (
        lambda: one("RMSNormalization", "x g", {"x": (2, 5, 8)}, {"g": 8}, opset=23),
        lambda: (0, 4 * 2 * 5 * 8),  # as torch's fused one, of which the meta device shows the parts
    ),
    "local response norm": (
        lambda: one("LRN", "x", {"x": X}, size=5),
        lambda: (0, 10 * 2 * 8 * 9 * 10),  # n + 5, as in docs/counting.md
    ),
    "max pooling": (
        lambda: one("MaxPool", "x", {"x": X}, kernel_shape=[3, 2], strides=[2, 2]),
        lambda: traced(nn.MaxPool2d((3, 2), 2), X),
    ),
    "average pooling": (
        lambda: one("AveragePool", "x", {"x": X}, kernel_shape=[2, 2]),
        lambda: traced(nn.AvgPool2d(2, 1), X),
    ),
    "global average": (
        lambda: one("GlobalAveragePool", "x", {"x": X}),
        lambda: traced(nn.AdaptiveAvgPool2d(1), X),
    ),
    "softmax": (lambda: one("Softmax", "x", {"x": X}), lambda: traced(nn.Softmax(1), X)),
    "relu": (lambda: one("Relu", "x", {"x": X}), lambda: traced(nn.ReLU(), X)),
    "gelu": (lambda: one("Gelu", "x", {"x": X}), lambda: traced(nn.GELU(), X)),
    "hardswish": (lambda: one("HardSwish", "x", {"x": X}), lambda: traced(nn.Hardswish(), X)),
    "clip": (
        lambda: one("Clip", "x l h", {"x": X}, {"l": number(0), "h": number(6)}),
        lambda: traced(nn.ReLU6(), X),
    ),
    "prelu": (lambda: one("PRelu", "x s", {"x": X}, {"s": (8, 1, 1)}), lambda: traced(nn.PReLU(8), X)),
    "a sum": (lambda: one("Add", "x z", {"x": X, "z": X}), lambda: traced(torch.add, X, X)),
    "a broadcast product": (
        lambda: one("Mul", "x z", {"x": X, "z": (2, 8, 1, 1)}),
        lambda: traced(torch.mul, X, (2, 8, 1, 1)),
    ),
    "mean over positions": (
        lambda: one("ReduceMean", "x", {"x": X}, axes=[2, 3], opset=13),
        lambda: traced(lambda x: x.mean((2, 3)), X),
    ),
    "concatenation": (
        lambda: one("Concat", "x z", {"x": X, "z": X}, axis=1),
        lambda: traced(lambda x, z: torch.cat([x, z], 1), X, X),
    ),
    "bilinear": (
        lambda: one("Resize", "x . s", {"x": X}, {"s": np.float32([1, 1, 2, 2])}, mode="linear"),
        lambda: traced(nn.Upsample(scale_factor=2, mode="bilinear"), X),
    ),
    "nearest": (
        lambda: one("Resize", "x . s", {"x": X}, {"s": np.float32([1, 1, 2, 2])}, mode="nearest"),
        lambda: traced(nn.Upsample(scale_factor=2), X),
    ),
    "samples at a grid": (
        lambda: one("GridSample", "x g", {"x": X, "g": (2, 4, 5, 2)}),
        lambda: traced(lambda x, g: F.grid_sample(x, g, align_corners=False), X, (2, 4, 5, 2)),
    ),
}


@pytest.mark.parametrize("case", AS_TORCH)
def test_an_operator_takes_what_torch_takes(case):
    ours, theirs = AS_TORCH[case]
    row = ours()
    assert (row.macs, row.elementwise) == theirs()


@pytest.mark.parametrize(
    ("operator", "gates", "module"), [("LSTM", 4, nn.LSTM), ("GRU", 3, nn.GRU), ("RNN", 1, nn.RNN)]
)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_recurrent_layers_take_what_torch_takes(operator, gates, module, directions, bias):
    hidden, x = 5, (7, 2, 3)  # steps, batch, features
    weights = {"w": (directions, gates * hidden, 3), "r": (directions, gates * hidden, hidden)}
    weights |= {"b": (directions, 2 * gates * hidden)} if bias else {}
    way = "bidirectional" if directions == 2 else "forward"
    row = one(operator, f"x w r{' b' * bias}", {"x": x}, weights, hidden_size=hidden, direction=way)
    layer = module(3, hidden, bidirectional=directions == 2, bias=bias)
    assert (row.macs, row.elementwise) == traced(layer, x)
    assert (row.params, row.kind) == (sum(p.numel() for p in layer.parameters()), "recurrent")


def test_attention_is_its_two_products_and_four_operations_a_weight():
    heads, length, keys, width = 3, 5, 7, 4
    shapes = {"q": (2, heads, length, width), "k": (2, heads, keys, width), "v": (2, heads, keys, 6)}
    weights = 2 * heads * length * keys
    row = one("Attention", "q k v", shapes, opset=23)
    assert (row.macs, row.elementwise, row.kind) == (weights * (width + 6), 4 * weights, "attention")
    flat = {"q": (2, length, heads * width), "k": (2, keys, heads * width), "v": (2, keys, heads * 6)}
    row = one("Attention", "q k v", flat, opset=23, q_num_heads=heads, kv_num_heads=heads)
    assert (row.macs, row.elementwise) == (weights * (width + 6), 4 * weights)
    shared = {"q": (2, length, heads * width), "k": (2, keys, width), "v": (2, keys, width)}
    row = one("Attention", "q k v", shared, opset=23, q_num_heads=heads, kv_num_heads=1)
    assert row.macs == 2 * weights * width
    shapes = {"x": (2, length, 8), "w": (8, 36), "b": (36,)}
    y = value("y", (2, length, 12))
    made = model([node("Attention", "x w b", domain="com.microsoft", num_heads=3)], {"x": (2, length, 8)},
                 {"w": (8, 36), "b": 36}, [y])  # fmt: skip
    found = counted(made)
    assert found.macs == 2 * length * 8 * 36 + 2 * (2 * 3 * length * length * 4)
    assert found.params == 8 * 36 + 36


def test_integers_multiply_as_numbers_do():
    x = {"x": value("x", (1, 4, 6, 6), "u")}
    kernel = np.ones((8, 4, 3, 3), np.int8)
    convolved = counted(model([node("ConvInteger", "x w")], x, {"w": kernel}, [value("y", None, "n")]))
    assert (convolved.macs, convolved.params, convolved.param_bytes) == (8 * 16 * 36, 288, 288)
    scale, zero = number(0.1), number(0, np.uint8)
    made = model(
        [node("QLinearConv", "x s z w ws wz s z b")],
        x,
        {"w": kernel, "s": scale, "z": zero, "ws": np.ones(8, np.float32), "wz": np.zeros(8, np.int8),
         "b": np.ones(8, np.int32)},
        [value("y", None, "u")],
    )  # fmt: skip
    row = counted(made).layers[0]
    assert (row.macs, row.elementwise, row.params, row.param_bytes) == (8 * 16 * 36, 8 * 16, 288 + 8, 288 + 32)
    assert row.buffer_bytes == 4 + 1 + 32 + 8  # scales and zero points, each once
    product = model([node("MatMulInteger", "x w")], {"x": value("x", (3, 5), "u")}, {"w": np.ones((5, 2), np.int8)},
                    [value("y", None, "n")])  # fmt: skip
    assert (counted(product).macs, counted(product).params) == (30, 10)
    product = model(
        [node("QLinearMatMul", "x s z w s z s z")],
        {"x": value("x", (3, 5), "u")},
        {"w": np.ones((5, 2), np.uint8), "s": scale, "z": zero},
        [value("y", None, "u")],
    )
    assert (counted(product).macs, counted(product).params) == (30, 10)


def test_a_convolution_between_dequantised_tensors_counts_as_the_file_stores_its_weights():
    scale, zero = number(0.1), number(0, np.int8)
    made = model(
        [
            node("QuantizeLinear", "x s z", "xq"),
            node("DequantizeLinear", "xq s z", "xd"),
            node("DequantizeLinear", "fc.weight s z", "w"),
            node("Conv", "xd w"),
        ],
        {"x": (1, 4, 6, 6)},
        {"fc.weight": np.ones((8, 4, 3, 3), np.int8), "s": scale, "z": zero},
    )
    rows = {row.name: row for row in counted(made).layers}
    conv = rows["fc"]
    assert (conv.type, conv.macs, conv.params, conv.param_bytes) == ("Conv int8", 8 * 16 * 36, 288, 288)
    assert [row.elementwise for row in rows.values()] == [144, 144, 0]
    assert len(rows) == 3  # the weights are dequantised once, and not in a run


def test_a_deformable_convolution_reads_four_pixels_a_sample():
    shapes = {"x": (1, 4, 6, 6), "o": (1, 18, 6, 6), "m": (1, 9, 6, 6)}
    row = one("DeformConv", "x w o b m", shapes, {"w": (8, 4, 3, 3), "b": 8}, pads=[1] * 4, kernel_shape=[3, 3])
    samples = 4 * 9 * 36  # channels, kernel, positions
    assert (row.macs, row.elementwise) == (8 * 36 * 36, 5 * samples + 8 * 36)


def test_packed_weights_of_four_bits_count_by_what_the_node_says():
    made = model(
        [node("MatMulNBits", "x w s", domain="com.microsoft", K=64, N=10, bits=4, block_size=32)],
        {"x": (3, 64)},
        {"w": np.ones((10, 2, 16), np.uint8), "s": np.ones(20, np.float32)},
        [value("y", (3, 10))],
    )
    assert counted(made).macs == 3 * 64 * 10


def test_what_has_no_formula_is_named_and_not_taken_for_nothing():
    made = model([node("Relu", "x", "z"), node("Fancy", "z", domain="mine")], {"x": (2, 3)}, (), [value("y", (2, 3))])
    found = counted(made)
    assert found.uncounted == (("mine.Fancy", 1),)
    assert (found.layers[1].kind, found.layers[1].reads) == ("unknown", (0,))
    unknown = model([node("NonZero", "x", "i"), node("Cast", "i", "f", to=1), node("MatMul", "w f")], {"x": (2, 3)},
                    {"w": (4, 2)})  # fmt: skip
    smooth = node("Resize", "x . s", mode="linear", antialias=1)
    smaller = model([smooth], {"x": (1, 3, 8, 8)}, {"s": np.float32([1, 1, 0.5, 0.5])})
    assert counted(smaller).uncounted == (("Resize with antialias", 1),)
    assert counted(unknown).uncounted == (("MatMul of unknown shape", 1),)
