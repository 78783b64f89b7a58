#!/usr/bin/env bash
# OpenVINO 2026.4.1 beside torch 2.13.0 and onnxruntime 1.32.0: bilinear resizing with antialias from 12x12 to 5x4, as
# pipelines of images shrink them.
#
# Expected: torch's numbers, or an error that names antialias.
# Seen:     ONNX Runtime gives torch's numbers from the file of torch's newer exporter, whose Resize says antialias=1.
#           OpenVINO reads the same file without a word and gives the numbers of a resizing without antialias.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 \
    openvino==2026.4.1
cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from torch import nn
from torch.nn.functional import interpolate


class Net(nn.Module):
    def forward(self, x):
        return interpolate(x, (5, 4), mode="bilinear", antialias=True)


torch.manual_seed(0)
x = torch.randn(1, 3, 12, 12)
torch.onnx.export(Net(), (x,), "net.onnx", dynamo=True, verbose=False)
said = {one.name: one.i for node in onnx.load("net.onnx").graph.node for one in node.attribute}
assert said["antialias"] == 1
session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
ran = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
compiled = openvino.Core().compile_model("net.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
theirs = next(iter(compiled([x.numpy()]).values()))
smooth, rough = Net()(x).numpy(), interpolate(x, (5, 4), mode="bilinear").numpy()
for name, found in (("ONNX Runtime", ran), ("OpenVINO", theirs)):
    print(f"{name}: off torch's with antialias by {abs(found - smooth).max():.2g}, without by {abs(found - rough).max():.2g}")
assert np.allclose(ran, smooth, atol=1e-4)
assert np.allclose(theirs, rough, atol=1e-4) and abs(theirs - smooth).max() > 0.1
PYTHON
