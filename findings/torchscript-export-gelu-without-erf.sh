#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.2: the TorchScript exporter at opset 8, which it takes, on a module with GELU.
#
# Expected: a file of opset 8, or a refusal: Erf is an operator from opset 9 on.
# Seen:     a file that says opset 8 and holds Erf, without a word; onnx's checker refuses it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2
FOLDER=$folder "$folder/venv/bin/python" - << 'PYTHON'
import os

import onnx
import torch

path = os.environ["FOLDER"] + "/gelu.onnx"
torch.onnx.export(torch.nn.GELU().eval(), (torch.ones(1, 2),), path, dynamo=False, opset_version=8)
made = onnx.load(path)
opset, operators = made.opset_import[0].version, [node.op_type for node in made.graph.node]
print("opset", opset, "operators", operators)
try:
    onnx.checker.check_model(made)
    refused = False
except onnx.checker.ValidationError as error:
    refused = True
    print(str(error).strip().splitlines()[0])
assert opset == 8 and "Erf" in operators and refused
PYTHON
