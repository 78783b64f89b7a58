#!/usr/bin/env bash
# onnx 1.23.2: shape inference with data propagation, of a Range whose ends the file holds, and a Cast behind it.
#
# Expected: a shape, in no time and no memory: the numbers of so long a tensor are no shape.
# Seen:     every number is written down, at 150 bytes each: 4 million take half a gigabyte, and a file of 200 bytes with a
#           range of 2**50 never comes to an end. Without data propagation the same shape is there at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import resource

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

LONG = 2**22
ends = [numpy_helper.from_array(np.array(number), name) for name, number in {"a": 0, "b": LONG, "c": 1}.items()]
nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), helper.make_node("Cast", ["r"], ["y"], to=TensorProto.INT64)]
output = helper.make_tensor_value_info("y", TensorProto.INT64, None)
model = helper.make_model(helper.make_graph(nodes, "graph", [], [output], ends))
before, took = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, {}
for propagated in (False, True):
    (side,) = infer_shapes(model, data_prop=propagated).graph.output[0].type.tensor_type.shape.dim
    assert side.dim_value == LONG
    took[propagated] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(", ".join(f"data_prop={name}: {mib:.0f} MiB more" for name, mib in took.items()))
assert took[False] < 50 and took[True] > 300
PYTHON
