#!/usr/bin/env bash
# OpenVINO 2026.4.1 beside torch 2.13.0 and onnxruntime 1.32.0: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True) on ones of
# 8x8, whose last windows reach one beyond the padding.
#
# Expected: torch's numbers: the padding counts as zeros, what lies beyond it does not: 1/3, 1/2, 1/2, 1/2, 1/4 in the last
#           row.
# Seen:     ONNX Runtime gives these. OpenVINO divides by nine in each: 2/9, 1/3, 1/3, 1/3, 1/9, in the file of ONNX and by
#           its own conversion from torch alike, without a warning. Without ceil_mode, or with count_include_pad=False, all
#           three agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnxruntime
import openvino
import torch
from torch import nn

CORE = openvino.Core()
x = torch.ones(1, 1, 8, 8)


def last_row(model):
    compiled = CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(compiled([x.numpy()]).values()))[0, 0, -1]


def all_ways(net):
    torch.onnx.export(net, (x,), "net.onnx", dynamo=False)
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    return {
        "torch": net(x)[0, 0, -1].numpy(),
        "ONNX Runtime": session.run(None, {session.get_inputs()[0].name: x.numpy()})[0][0, 0, -1],
        "OpenVINO, from ONNX": last_row("net.onnx"),
        "OpenVINO, from torch": last_row(openvino.convert_model(net, example_input=x)),
    }


for name, row in all_ways(nn.AvgPool2d(3, 2, padding=1, ceil_mode=True).eval()).items():
    print(f"{name:20} {row}")
    wanted = [2 / 9, 1 / 3, 1 / 3, 1 / 3, 1 / 9] if "OpenVINO" in name else [1 / 3, 1 / 2, 1 / 2, 1 / 2, 1 / 4]
    assert np.allclose(row, wanted)
for more in ({"ceil_mode": False}, {"ceil_mode": True, "count_include_pad": False}):
    found = all_ways(nn.AvgPool2d(3, 2, padding=1, **more).eval())
    print(more, "the same" if all(np.allclose(row, found["torch"]) for row in found.values()) else found)
    assert all(np.allclose(row, found["torch"]) for row in found.values())
PYTHON
