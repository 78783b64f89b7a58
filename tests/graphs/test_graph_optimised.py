"""Graphs that ONNX Runtime has optimised: onnx infers no shapes behind its operators, and they count all the same."""

import numpy as np
import pytest
from onnx_graphs import counted, model, node, number, value

MICROSOFT, BLOCKED = "com.microsoft", "com.microsoft.nchwc"


def optimised(nodes, inputs, weights=(), outputs=("y",)):
    made = model(nodes, inputs, weights, [value(name, None, "") for name in outputs])
    made.opset_import.add(domain=BLOCKED, version=1)
    return counted(made)


def behind(first, inputs, weights=()):
    """The row of a node, and of a Relu behind it, which has the shape of what the node gives."""
    found = optimised([first, node("Relu", "m", "y")], inputs, weights)
    return found.layers[0], found.layers[-1].elementwise


def test_a_fused_convolution_is_a_convolution_with_a_sum_and_an_activation():
    held = {"w": (8, 4, 3, 3), "b": 8}
    row, elements = behind(node("FusedConv", "x w b", "m", MICROSOFT, activation="Relu"), {"x": (1, 4, 6, 6)}, held)
    assert (row.macs, row.elementwise, row.params, elements) == (128 * 36, 2 * 128, 296, 128)
    both = {"x": (1, 4, 6, 6), "z": (1, 8, 4, 4)}
    row, _ = behind(node("FusedConv", "x w b z", "m", MICROSOFT, activation="Relu"), both, held)
    assert (row.macs, row.elementwise, row.kind) == (128 * 36, 3 * 128, "convolution")


def test_channels_in_blocks_count_as_they_are_stored_and_what_is_padded_is_said():
    nodes = [
        node("Conv", "x w0 b0", "c", BLOCKED, kernel_shape=[3, 3], pads=[1] * 4, activation="Relu", name="relu_nchwc"),
        node("MaxPool", "c", "p", BLOCKED, kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p w1", "d", BLOCKED, kernel_shape=[3, 3], pads=[1] * 4, group=16),
        node("ReorderOutput", "d", "r", BLOCKED, channels=10, channels_last=1),
        node("Relu", "r", "s"),
        node("ReorderInput", "s", "t", BLOCKED, channels_last=1),
        node("Conv", "t w2", "e", BLOCKED, kernel_shape=[1, 1]),
        node("GlobalAveragePool", "e", "g", BLOCKED),
        node("ReorderOutput", "g", "y", BLOCKED, channels=32),
    ]
    held = {"w0": (16, 3, 3, 3), "b0": 16, "w1": (16, 1, 3, 3), "w2": (32, 16, 1, 1)}
    found = optimised(nodes, {"x": (2, 3, 8, 8)}, held)
    assert [row.macs for row in found.layers if row.macs] == [2 * 64 * 16 * 27, 2 * 16 * 16 * 9, 2 * 16 * 32 * 16]
    outputs = {row.name: row.output for row in found.layers}
    assert (outputs["reorderoutput"], outputs["relu"]) == ((2, 4, 4, 10), (2, 4, 4, 10))
    assert outputs["reorderoutput_1"] == (2, 32, 1, 1)
    said = "channels are laid in whole blocks, and where they are padded to these (10 as 16) the padding counts too"
    assert found.remarks == (said,)
    assert not found.uncounted


SCALES = {"s": number(0.1), "z": number(0, np.uint8)}

BEHIND = {
    "a transposed product": (
        node("FusedMatMul", "x w", "m", MICROSOFT, transB=1), {"x": (2, 5, 4)}, {"w": (3, 4)}, (120, 0, 30),
    ),
    "a product and an activation": (
        node("FusedGemm", "x w b", "m", MICROSOFT, activation="Relu", transB=1), {"x": (5, 4)}, {"w": (3, 4), "b": 3},
        (60, 30, 15),
    ),
    "a product of integers": (
        node("MatMulIntegerToFloat", "x w s s", "m", MICROSOFT), {"x": value("x", (5, 4), "u")},
        {"w": np.ones((4, 3), np.uint8), **SCALES}, (60, 15, 15),
    ),
    "a quantised product": (
        node("QGemm", "x s z w s z", "m", MICROSOFT), {"x": value("x", (5, 4), "u")},
        {"w": np.ones((4, 3), np.uint8), **SCALES}, (60, 0, 15),
    ),
    "a quantised convolution with channels last": (
        node("QLinearConv", "x s z w s z s z", "m", MICROSOFT, channels_last=1), {"x": value("x", (1, 6, 6, 4), "u")},
        {"w": np.ones((8, 4, 3, 3), np.uint8), **SCALES}, (128 * 36, 0, 128),
    ),
    "a quantised sum": (
        node("QLinearAdd", "x s z x s z s z", "m", MICROSOFT), {"x": value("x", (5, 4), "u")}, SCALES, (0, 20, 20),
    ),
    "a norm of a sum": (
        node("SkipLayerNormalization", "x x g b", "m", MICROSOFT), {"x": (2, 5, 4)}, {"g": 4, "b": 4}, (0, 240, 40),
    ),
    "a bias and GELU": (node("BiasGelu", "x b", "m", MICROSOFT), {"x": (5, 4)}, {"b": 4}, (0, 40, 20)),
    "a group norm, which is ONNX's own": (
        node("GroupNormalization", "x g b", "m", num_groups=2), {"x": (1, 4, 3, 3)}, {"g": 4, "b": 4}, (0, 180, 36),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BEHIND)
def test_what_stands_behind_an_operator_of_the_runtime_has_its_shape(case):
    first, inputs, held, (macs, elementwise, elements) = BEHIND[case]
    row, given = behind(first, inputs, held)
    assert (row.macs, row.elementwise, given) == (macs, elementwise, elements)
