#!/usr/bin/env bash
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2: torch.onnx.export (dynamo=True) on a module whose layers happen to hold
# equal weights, as every LayerNorm does before training.
#
# Expected: each parameter of the module is an initializer of the file, as far as no operator was folded.
# Seen:     of eight LayerNorms with 16 parameters each the file holds one pair of vectors, which all nodes read, and
#           after one step of training all: parameters counted from a file depend on the values of the weights.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
"$folder/venv/bin/python" - << 'PYTHON'
import math

import torch
from torch import nn


def held(net):
    program = torch.onnx.export(net.eval(), (torch.randn(2, 8),), dynamo=True, verbose=False)
    return sum(math.prod(one.dims) for one in program.model_proto.graph.initializer if list(one.dims) == [8])


net = nn.Sequential(*(layer for _ in range(8) for layer in (nn.LayerNorm(8), nn.ReLU())))
parameters = sum(one.numel() for one in net.parameters())
before = held(net)
with torch.no_grad():
    for one in net.parameters():
        one.add_(torch.randn_like(one))
after = held(net)
print("parameters of the module:", parameters, "in the file before training:", before, "after:", after)
assert (parameters, before, after) == (128, 16, 128)
PYTHON
