"""Rows of a graph: their names, what they hold, the order in which they run, and what values decide."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_graphs import counted, graph, model, node, number, value
from torch import nn

import resbench
from resbench.arch.rows import Fork
from resbench.costs.trace import trace

CLASSES, SCOPES = "pkg.torch.onnx.class_hierarchy", "pkg.torch.onnx.name_scopes"


def written(made, scopes, classes=("Net", "torch.nn.Module", "aten.op")):
    """A node under the modules that torch's exporter writes around it."""
    for key, words in ((SCOPES, scopes), (CLASSES, classes)):
        made.metadata_props.add(key=key, value=str([*words]))
    return made


def names(found):
    return [row.name for row in found.layers]


def test_a_folded_batch_norm_does_not_take_the_convolutions_name():
    norm = ("Net", "torch.nn.modules.batchnorm.BatchNorm2d", "aten._native_batch_norm")
    nodes = [
        written(
            node("Conv", "x layer1.0.conv1.weight bias", "c"), ["", "layer1", "layer1.0", "layer1.0.bn1", "bn"], norm
        ),
        written(node("Relu", "c", "r"), ["", "layer1", "layer1.0", "layer1.0.relu", "relu"]),
        written(node("Add", "r x", "a"), ["", "layer1", "layer1.0", "add"]),
        written(node("Relu", "a"), ["", "layer1", "layer1.0", "layer1.0.relu", "relu_1"]),
    ]
    found = counted(model(nodes, {"x": (1, 4, 6, 6)}, {"layer1.0.conv1.weight": (4, 4, 1, 1), "bias": 4}))
    assert names(found) == ["layer1.0.conv1", "layer1.0.relu", "layer1.0.add", "layer1.0.relu"]
    assert [row.name for row in found.per("block")] == ["layer1.0"]
    assert found.layers[0].elementwise == 4 * 36  # the bias that the folding has made
    assert found.remarks == ("BN is folded into 1 convolution, whose bias is its shift",)


def test_names_of_the_older_exporter_are_paths_of_modules():
    nodes = [
        node("Conv", "x onnx::Conv_7", "c", name="/layer1/layer1.0/conv1/Conv"),
        node("Relu", "c", "r", name="/layer1/layer1.0/relu/Relu"),
        node("Add", "r x", "a", name="/layer1/layer1.0/Add"),
        node("Relu", "a", name="/layer1/layer1.0/relu_1/Relu"),
    ]
    found = counted(model(nodes, {"x": (1, 4, 6, 6)}, {"onnx::Conv_7": (4, 4, 1, 1)}))
    assert names(found) == ["layer1.0.conv1", "layer1.0.relu", "layer1.0.add", "layer1.0.relu_1"]


def test_names_of_nobody_are_the_nodes_own():
    nodes = [node("Conv", "x w", "c", name="resnetv17_conv0_fwd"), node("Relu", "c", "r"), node("Relu", "r")]
    assert names(counted(model(nodes, {"x": (1, 4, 6, 6)}, {"w": (4, 4, 1, 1)}))) == [
        "resnetv17_conv0_fwd",
        "relu",
        "relu_1",
    ]


def test_weights_that_two_modules_share_leave_each_its_name_and_count_once():
    nodes = [
        written(node("Gather", "embed.weight ids", "e"), ["", "embed", "embedding"]),
        node("Transpose", "embed.weight", "t", perm=[1, 0]),
        written(node("MatMul", "e t"), ["", "head", "linear"]),
    ]
    found = counted(model(nodes, {"ids": value("ids", (2, 5), "i")}, {"embed.weight": (9, 4)}))
    assert [(row.name, row.params, row.kind) for row in found.layers] == [
        ("embed", 36, "embedding"),
        ("head", 0, "linear"),
    ]


def test_what_a_file_holds_is_weights_buffers_or_neither():
    nodes = [
        node("Conv", "x w", "c"), node("BatchNormalization", "c g b m v", "n"), node("Clip", "n lo hi", "k"),
        node("Mul", "k scale", "s"), node("Mul", "s two", "d"), node("Reshape", "d to", "r"), node("Add", "r position"),
    ]  # fmt: skip
    held = {"w": (8, 3, 1, 1), **dict.fromkeys("gbmv", 8), "lo": number(0), "hi": number(6), "scale": (8, 1, 1),
            "two": number(2), "to": np.array([1, 8, 16]), "position": (1, 8, 16), "left": (2, 3)}  # fmt: skip
    found = counted(model(nodes, {"x": (1, 3, 4, 4)}, held))
    took = {row.name: (row.params, row.buffer_bytes) for row in found.layers if row.params or row.buffer_bytes}
    assert took == {
        "conv": (24, 0),
        "batchnormalization": (16, 64),
        "mul": (8, 0),
        "add": (128, 0),
        "left": (6, 0),
    }
    assert found.param_bytes == 4 * found.params == 4 * 182
    assert [row.kind for row in found.layers] == [
        "convolution", "normalisation", "function", "product", "scaling", "sum", "rearrangement",
    ]  # fmt: skip


def test_the_ones_and_zeros_of_an_exported_group_norm_are_no_parameters():
    nodes = [node("Reshape", "x groups", "r"), node("InstanceNormalization", "r val_8 val_11", "n"),
             node("Reshape", "n maps", "m"), node("Mul", "m gamma", "s"), node("Add", "s beta")]  # fmt: skip
    weights = {
        **{name: number(sizes, np.int64) for name, sizes in {"groups": [1, 2, 18], "maps": [1, 4, 3, 3]}.items()},
        **{"val_8": number([1, 1]), "val_11": number([0, 0]), "gamma": (4, 1, 1), "beta": (4, 1, 1)},
    }
    assert counted(model(nodes, {"x": (1, 4, 3, 3)}, weights)).params == 8
    assert counted(model(nodes, {"x": (1, 4, 3, 3)}, weights | {"val_8": number([1, 2])})).params == 10
    named = node("InstanceNormalization", "x norm.weight norm.bias")
    fresh = {"norm.weight": number([1, 1]), "norm.bias": number([0, 0])}
    assert counted(model([named], {"x": (1, 2, 3, 3)}, fresh)).params == 4


def test_what_is_cast_like_another_reads_none_of_it():
    nodes = [node("CastLike", "zero x", "c"), node("Expand", "c wide", "bias"), node("Conv", "x w bias")]
    weights = {"zero": number(0.0), "wide": number([2], np.int64), "w": (2, 3, 1, 1)}
    found = counted(model(nodes, {"x": (1, 3, 4, 4)}, weights))
    assert [(row.type, row.params) for row in found.layers] == [("Conv", 6)]


def test_what_torch_says_of_a_tensor_comes_before_the_rule():
    made = model([node("Add", "x mask", "a"), node("Mul", "a slope")], {"x": (2, 3)}, {"mask": (2, 3), "slope": 1})
    signature = "# inputs\nb_mask: BUFFER target='mask' persistent=True\np_slope: PARAMETER target='slope'\n"
    made.graph.metadata_props.add(key="pkg.torch.export.ExportedProgram.graph_signature", value=signature)
    found = counted(made)
    assert [(row.params, row.buffer_bytes) for row in found.layers] == [(0, 24), (1, 0)]


def test_rows_stand_in_running_order_and_say_what_they_read():
    nodes = [
        node("Relu", "x", "a"), node("Reshape", "a to", "b"), node("Shape", "a", "s"), node("Relu", "a", "c"),
        node("Add", "b b", "d"), node("Gather", "s one", "h"), node("Concat", "c c", "e", axis=0),
        node("Identity", "e"),
    ]  # fmt: skip
    held = {"to": np.array([3, 2]), "one": np.array([1])}
    found = counted(model(nodes, {"x": (2, 3)}, held, ["d", "y"]))
    assert [(row.name, row.reads) for row in found.layers] == [
        ("relu", ()), ("relu_1", (0,)), ("add", (0,)), ("concat", (1,)),
    ]  # fmt: skip
    assert (found.input, found.input_bytes, found.activations) == ((2, 3), 24, 6 + 6 + 6 + 12)


def linear(weight, out, bias=""):
    return node("MatMul", f"x {weight}", out)


def branches(small, large):
    """An ``If`` over two products of x, by widths."""
    made = [
        graph([linear(f"w{i}", f"y{i}")], {}, {f"w{i}": (6, width)}, [value(f"y{i}")])
        for i, width in enumerate((small, large))
    ]
    return node("If", "c", "y", then_branch=made[0], else_branch=made[1])


def test_the_larger_branch_counts_and_both_are_said():
    inputs = {"x": (2, 6), "c": value("c", (), "b")}
    found = counted(model([branches(3, 5), node("Relu", "y", "z")], inputs, (), ["z"]))
    assert (found.macs, found.forks) == (2 * 6 * 5, (Fork("if", (36, 60)),))
    assert [(row.name, row.params, row.macs) for row in found.layers if row.params] == [
        ("matmul", 30, 60),
        ("matmul", 18, 0),
    ]
    assert found.layers[1].reads == (0,)

    class Either(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 3, bias=False), nn.Linear(6, 5, bias=False)

        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: self.one(x).sum(), lambda x: self.two(x).sum(), (x,))

    theirs = trace(Either(), (2, 6))
    assert (theirs.macs, theirs.forks[0].macs) == (found.macs, found.forks[0].macs)


def test_bodies_may_call_their_tensors_alike():
    """In one branch ``t`` is a turned weight, in the other a turned input."""
    turned = [
        graph([node("Transpose", name, "t", perm=[1, 0]), node("Relu", "t", "r"), node("MatMul", "r w", f"y{name}")],
              {}, (), [value(f"y{name}")])
        for name in ("w", "x")
    ]  # fmt: skip
    either = node("If", "c", "y", then_branch=turned[0], else_branch=turned[1])
    inputs = {"x": (2, 2), "c": value("c", (), "b")}
    found = counted(model([either, node("Relu", "y", "z")], inputs, {"w": (2, 2)}, ["z"]))
    assert (found.macs, found.elementwise) == (8, 4 + 4)
    assert [(row.name, row.reads) for row in found.layers] == [
        ("transpose", ()), ("relu", (0,)), ("matmul", (1,)), ("relu_1", (2,)),
    ]  # fmt: skip


def test_what_nobody_knows_is_named_also_where_it_depends_on_no_input():
    made = model([node("Fancy", "w", "v", domain="mine"), node("Add", "x v")], {"x": (2, 2)}, {"w": (2, 2)})
    assert counted(made).uncounted == (("Add of unknown shape", 1), ("mine.Fancy", 1))


def test_a_condition_that_is_known_takes_its_branch():
    found = counted(model([branches(3, 5)], {"x": (2, 6)}, {"c": np.array(True)}))
    assert (found.macs, found.forks, found.params) == (36, (), 18)


def loop(limit, goes_on, condition):
    """Four products of a state with itself, or as many as values decide."""
    body = graph(
        [node("MatMul", "h w", "g"), node("Relu", "g", "r"), *condition],
        {"i": value("i", (), "i"), "c": value("c", (), "b"), "h": value("h")},
        (),
        [value("d", (), "b"), value("r")],
    )
    return node("Loop", f"{limit} {goes_on} x", "y", body=body)


@pytest.mark.parametrize(
    ("limit", "goes_on", "condition", "rounds"),
    [
        ("four", ".", [node("Identity", "c", "d")], 4),
        ("four", "yes", [node("Identity", "c", "d")], 4),
        ("four", "yes", [node("Less", "i i", "d")], None),
        (".", "yes", [node("Identity", "c", "d")], None),
        ("n", ".", [node("Identity", "c", "d")], None),
    ],
)
def test_a_loop_goes_round_as_often_as_it_says(limit, goes_on, condition, rounds):
    held = {"four": np.array(4), "yes": np.array(True), "w": (3, 3)}
    inputs = {"x": (2, 3), "n": value("n", (), "i")}
    found = counted(model([loop(limit, goes_on, condition), node("Relu", "y", "z")], inputs, held, ["z"]))
    assert found.macs == (rounds or 1) * 18
    assert [fork.macs for fork in found.forks] == ([] if rounds else [(18,)])
    assert (found.params, found.is_least) == (9, rounds is None)
    assert found.layers[-1].reads == (len(found.layers) - 2,)
    assert [row.activations for row in found.layers[:2]] == [(rounds or 1) * 6] * 2


def test_a_scan_is_as_long_as_its_input():
    body = graph([node("MatMul", "h w", "g"), node("Add", "g s", "r"), node("Identity", "r", "o")],
                 {"h": (2, 3), "s": (2, 3)}, (), [value("r"), value("o")])  # fmt: skip
    made = model([node("Scan", "x xs", "y ys", body=body, num_scan_inputs=1)], {"x": (2, 3), "xs": (7, 2, 3)},
                 {"w": (3, 3)}, ["y", "ys"])  # fmt: skip
    found = counted(made)
    assert (found.macs, found.elementwise, found.forks) == (7 * 18, 7 * 6, ())


GOLDEN = Path(__file__).parents[1] / "golden" / "graphs"


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_an_export_of_torch_has_the_rows_of_its_module(exporter):
    """Both were exported from this module by torch 2.13 (tests/golden/README.md)."""
    module = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(4, 5),
        )
    )
    theirs = {row.name: row for row in trace(module.eval(), (2, 3, 8, 8)).layers}
    found = resbench.flops(f"onnx:{GOLDEN}/{exporter}.onnx", batch=2).costs[0]
    assert names(found) == ["stem.0", "stem.2", "pool", "fc"]
    for row in found.layers:
        known = theirs[row.name]
        folded = row.name == "stem.0"
        assert (row.macs, row.output, row.elementwise) == (
            known.macs, known.output, known.elementwise + folded * 2 * 4 * 36,
        )  # fmt: skip
        assert (row.params, row.param_bytes) == (known.params + folded * 4, known.param_bytes + folded * 16)
    assert bool(found.remarks) == (exporter == "dynamo")  # the older one leaves no trace of BN
