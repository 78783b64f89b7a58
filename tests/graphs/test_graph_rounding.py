"""A pooling that rounds sizes up has as many windows as where it runs: as torch, and as ONNX Runtime."""

import numpy as np
import pytest
import torch
from onnx_graphs import counted, model, node, value
from torch import nn

import resbench

onnxruntime = pytest.importorskip("onnxruntime")

DRAWN = np.random.default_rng(7)
CASES = [
    (operator, *(int(DRAWN.integers(*bounds)) for bounds in ((7, 14), (2, 5), (1, 5), (1, 3), (0, 2), (0, 2))))
    for operator in ("MaxPool", "AveragePool", "LpPool")
    for _ in range(15)
]


def pooled(operator, side, kernel, stride, dilation, front, behind):
    """A pooling, another behind it, and a convolution."""
    pooling = {"ceil_mode": 1, "kernel_shape": [kernel] * 2, "strides": [stride] * 2, "dilations": [dilation] * 2}
    nodes = [
        node(operator, "x", "a", pads=[front, front, behind, behind], **pooling),
        node("MaxPool", "a", "b", ceil_mode=1, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", "b w", "y", kernel_shape=[1, 1]),
    ]
    return model(nodes, {"x": (1, 2, side, side)}, {"w": np.ones((3, 2, 1, 1), np.float32)}, ir_version=9, opset=20)


def ran(given, side):
    """The shape of what ONNX Runtime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(given.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((1, 2, side, side), np.float32)})[0].shape


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pooling_has_the_windows_that_run(case):
    given = pooled(*case)
    assert counted(given).layers[-1].output == ran(given, case[1])


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("exporter", ["dynamo", "dynamo, free sizes", "torchscript"])
def test_an_export_of_torch_counts_as_its_module(exporter, tmp_path):
    """The older exporter declares the size that onnx infers, and the newer one that which runs."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2, 2, padding=1, ceil_mode=True), nn.Conv2d(4, 8, 1)
    ).eval()
    free = [{0: torch.export.Dim("n"), 2: torch.export.Dim("h")}] if "free" in exporter else None
    dynamo = "dynamo" in exporter
    torch.onnx.export(
        module,
        (torch.zeros(2 if free else 1, 3, 7, 7),),
        tmp_path / "net.onnx",
        dynamo=dynamo,
        verbose=False,
        **({"dynamic_shapes": free, "external_data": False} if dynamo else {}),
    )
    assert resbench.flops(f"onnx:{tmp_path}/net.onnx", (3, 7, 7)).macs == resbench.flops(module, (3, 7, 7)).macs


def test_what_is_declared_behind_another_pooling_stays():
    """Nobody knows the shape behind `Mine` but who wrote it."""
    nodes = [
        node("MaxPool", "x", "a", ceil_mode=1, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Mine", "x", "c", domain="mine"),
        node("Conv", "c w", "y", kernel_shape=[1, 1]),
    ]
    given = model(nodes, {"x": (1, 2, 7, 7)}, {"w": np.ones((3, 2, 1, 1), np.float32)}, ("a", "y"))
    given.graph.value_info.append(value("c", (1, 2, 3, 3)))
    found = {row.name: row.output for row in counted(given).layers}
    assert {(1, 2, 4, 4), (1, 3, 3, 3)} <= {*found.values()}
