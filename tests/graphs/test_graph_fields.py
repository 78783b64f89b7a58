"""Receptive fields of graphs: against pixels that are changed, and against the module that a graph came from."""

import numpy as np
import pytest
from onnx_graphs import model, node, number

import resbench
from resbench.arch import architecture
from resbench.fields.reading import layer_fields
from resbench.graphs.counting import count
from resbench.graphs.reading import GraphFile

reference = pytest.importorskip("onnx.reference")

SHAPE = (1, 4, 12, 16)
DRAW = np.random.default_rng(0)
WEIGHTS = {
    "w": DRAW.uniform(0.5, 1, (4, 4, 3, 3)).astype(np.float32),
    "wide": DRAW.uniform(0.5, 1, (4, 1, 5, 2)).astype(np.float32),
    "scale": DRAW.uniform(0.5, 1, 4).astype(np.float32),
    "matrix": DRAW.uniform(0.5, 1, (4, 4)).astype(np.float32),
}


def integers(**named):
    return {name: number(value, np.int64) for name, value in named.items()}


CONV = node("Conv", "x w", "c", strides=[2, 1], pads=[1, 0, 1, 2])
CASES = {
    "a convolution": ([node("Conv", "x w", strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 2])], {}),
    "same above": ([node("Conv", "x w", strides=[2, 2], auto_pad="SAME_UPPER")], {}),
    "same below": ([node("Conv", "x wide", strides=[3, 1], group=4, auto_pad="SAME_LOWER")], {}),
    "two, and a pooling": (
        [CONV, node("Relu", "c", "r"), node("AveragePool", "r", "p", kernel_shape=[2, 3], strides=[2, 1]),
         node("Conv", "p wide", group=4, pads=[2, 0, 2, 1])], {},
    ),
    "the largest": ([node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], {}),
    "a path around": ([node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Add", "c x")], {}),
    "every second position": (
        [node("Slice", "x from to axes steps", "s"), node("Conv", "s w")],
        integers(**{"from": [1, 0], "to": [99, 9], "axes": [2, 3], "steps": [2, 1]}),
    ),
    "padding of its own": ([node("Pad", "x pads", "p"), node("Conv", "p w")], integers(pads=[0, 0, 2, 1, 0, 0, 0, 1])),
    "channels last": (
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("LayerNormalization", "t scale", "n"),
         node("MatMul", "n matrix", "m"), node("Transpose", "m", "b", perm=[0, 3, 1, 2]), node("Conv", "b w")], {},
    ),
    "channels shuffled": (
        [CONV, node("Reshape", "c apart", "r"), node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]),
         node("Reshape", "t together", "s"), node("Conv", "s w")],
        integers(apart=[1, 2, 2, 6, 16], together=[1, 4, 6, 16]),
    ),
    "channels apart, and side by side": (
        [node("Split", "x", "a b", axis=1, num_outputs=2), node("Concat", "b a", "s", axis=1), node("Conv", "s w")], {},
    ),
    "turned axes": ([node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("Conv", "t w", "c", strides=[1, 3]),
                     node("Transpose", "c", perm=[0, 1, 3, 2])], {}),
    "the whole along one axis": ([node("ReduceMean", "x axes", "m"), node("Mul", "m scales")],
                                 {**integers(axes=[-1]), "scales": number(2.0)}),
    "attention along one axis": ([node("Softmax", "x", "s", axis=3), node("Conv", "s wide", group=4)], {}),
}  # fmt: skip


def made(nodes, weights):
    used = {name for one in nodes for name in one.input}
    return model(nodes, {"x": SHAPE}, {name: one for name, one in (WEIGHTS | weights).items() if name in used})


def fields(given):
    return layer_fields(count(GraphFile("net.onnx", given).sized({}), "net"))


@pytest.mark.parametrize("case", CASES)
def test_a_position_changes_with_the_pixels_of_its_field_and_no_others(case):
    given = made(*CASES[case])
    field = fields(given)[-1]
    run = reference.ReferenceEvaluator(given)
    x = DRAW.uniform(0, 1, SHAPE).astype(np.float32)
    plain = run.run(None, {"x": x})[0]
    for axis, span in enumerate(field.window):
        size, places = SHAPE[2 + axis], plain.shape[2 + axis]
        changed = np.zeros((places, size), bool)
        for pixel in range(size):
            other = x.copy()
            there = np.moveaxis(other, 2 + axis, 0)[pixel]
            there += DRAW.uniform(50, 90, there.shape)
            changed[:, pixel] = (run.run(None, {"x": other})[0] != plain).any((0, 1, 3 - axis))
        for place in range(places):
            low, high = place * span.stride + span.low, place * span.stride + span.high
            pixels = np.flatnonzero(changed[place])
            assert low <= pixels[0] and pixels[-1] <= high
            assert low < 0 or high >= size or (pixels[0], pixels[-1]) == (low, high)


def test_a_gate_makes_it_the_whole_input_and_may_be_left_out():
    gated = fields(made([node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Sigmoid", "g", "s"),
                         node("Mul", "c s")], {}))  # fmt: skip
    assert [one.gated for one in gated] == [False, False, False, True]
    assert [span.size for span in gated[-1].window] == [3, 3]


def test_what_moves_positions_by_values_is_not_known():
    given = made([node("Resize", "x . scales", "r", mode="linear"), node("Conv", "r w")],
                 {"scales": number([1, 1, 2, 2])})  # fmt: skip
    found = fields(given)
    assert [one.window for one in found] == [None, None]
    assert {one.unknown for one in found} == {"resize (Resize)"}


NETWORKS = (
    "resnet18 preact_resnet18 googlenet inception_v3 densenet121 efficientnet_b0 squeezenet1_1 convnext_tiny"
    " mobilenet_v2 regnet_x_400mf"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS.split())
@pytest.mark.filterwarnings("ignore")
def test_an_exported_network_has_the_fields_of_its_module(name, tmp_path):
    torch = pytest.importorskip("torch")
    network = resbench.build(name).eval()
    image = torch.zeros(1, *architecture(name).input)
    torch.onnx.export(network, (image,), tmp_path / "net.onnx", dynamo=False)
    ours, theirs = ({one.name: one for one in resbench.field(given).fields[0].layers}
                    for given in (f"onnx:{tmp_path / 'net.onnx'}", name))  # fmt: skip
    both = ours.keys() & theirs.keys()
    assert len(both) > len(theirs) // 3
    for layer in both:
        assert ours[layer][3:6] == theirs[layer][3:6], layer
