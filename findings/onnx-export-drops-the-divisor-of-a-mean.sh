#!/usr/bin/env bash
# torch 2.13.0, onnxruntime 1.32.0, onnxscript 0.7.2: nn.AvgPool2d(2, divisor_override=3) as either exporter writes it.
#
# Expected: a file that divides by 3, as the module does, or an error that names divisor_override.
# Seen:     both exporters write a plain AveragePool without a word: the file divides by 4, and all it gives is 3/4 of what
#           the module gives.
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
from torch import nn

net, x = nn.AvgPool2d(2, divisor_override=3).eval(), torch.ones(1, 1, 4, 4)
assert torch.allclose(net(x), torch.full((1, 1, 2, 2), 4 / 3))
for dynamo in (False, True):
    torch.onnx.export(net, (x,), "net.onnx", dynamo=dynamo, verbose=False)
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    operators = [node.op_type for node in onnx.load("net.onnx").graph.node]
    print("the newer exporter" if dynamo else "the older exporter", operators, "gives", found[0, 0, 0])
    assert operators == ["AveragePool"] and np.allclose(found, 1)
PYTHON
