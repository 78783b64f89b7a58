#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0, torch 2.13.0: a 2x2 max pooling of stride 2 that rounds sizes up and is padded by 1,
# on a map of 7x7.
#
# Expected: 4x4 by all of them, at each opset: the fifth window would begin in the padding behind the map.
# Seen:     torch and ONNX Runtime give 4x4 at each opset; onnx's shape inference, strict or not, does so from opset 22 on,
#           whose text says that such windows are ignored, and gives 5x5 before, which is what torch's exporters write by
#           themselves: the older one puts that size into its file, so what reads it counts a convolution behind the
#           pooling 1.56 times; strict inference refuses the file of the newer one, which declares 4x4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, shape_inference
from torch import nn


def inferred(model, strict=True):
    graph = shape_inference.infer_shapes(model, strict_mode=strict).graph
    return [side.dim_value for side in graph.output[0].type.tensor_type.shape.dim]


def ran(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns of the size that is declared
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: np.zeros((1, 2, 7, 7), np.float32)})[0].shape)


for operator in ("MaxPool", "AveragePool", "LpPool"):
    for opset in (12, 20, 22):
        if operator == "LpPool" and opset < 18:  # which rounds no sizes up
            continue
        node = helper.make_node(
            operator, ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1
        )
        x, y = (helper.make_tensor_value_info(*one) for one in (("x", 1, [1, 2, 7, 7]), ("y", TensorProto.FLOAT, None)))
        model = helper.make_model(
            helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        print(operator, opset, "inferred", inferred(model), "ran", ran(model))
        assert inferred(model) == [1, 2, *([4, 4] if opset == 22 else [5, 5])] and ran(model) == [1, 2, 4, 4]

net, x = nn.Sequential(nn.MaxPool2d(2, 2, padding=1, ceil_mode=True), nn.Conv2d(2, 2, 1)).eval(), torch.zeros(1, 2, 7, 7)
assert list(net(x).shape) == [1, 2, 4, 4]
for dynamo, declared in ((False, [1, 2, 5, 5]), (True, [1, 2, 4, 4])):
    torch.onnx.export(net, (x,), "net.onnx", dynamo=dynamo, verbose=False)
    model = onnx.load("net.onnx")
    found = [side.dim_value for side in model.graph.output[0].type.tensor_type.shape.dim]
    print("torch's newer exporter declares" if dynamo else "torch's older exporter declares", found, "ran", ran(model))
    assert found == declared and ran(model) == [1, 2, 4, 4]
try:
    print("strict inference of the newer exporter's file:", inferred(model))
    raise SystemExit("it is no longer refused")
except shape_inference.InferenceError as error:
    print("strict inference of the newer exporter's file:", str(error).splitlines()[0])
PYTHON
