#!/usr/bin/env bash
# onnx 1.23.2: its reference evaluator beside onnxruntime 1.32.0, on an average pooling of 3x3 and stride 3 without padding
# that rounds sizes up, of a map of 7x7 that holds 0 to 48.
#
# Expected: a first mean of 8, over rows and columns 0 to 2, and the last window cut off behind the map.
# Seen:     ONNX Runtime gives that. The reference lets the first window begin a row and a column before the map, where no
#           padding was asked for: 4, or 1.78 with count_include_pad; at opsets 11, 19 and 22. MaxPool is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

X = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)


def both(operator, opset, **more):
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1, **more)
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 7, 7])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [taken], [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0][0, 0], ReferenceEvaluator(model).run(None, {"x": X})[0][0, 0]


for opset in (11, 19, 22):
    for counts, wanted in ((0, 4.0), (1, 16 / 9)):
        ran, reference = both("AveragePool", opset, count_include_pad=counts)
        print(f"opset {opset}, count_include_pad {counts}: ran {ran[0]}, reference {reference[0]}")
        assert np.allclose(ran, [[8, 11, 13], [29, 32, 34], [43, 46, 48]])
        assert np.isclose(reference[0, 0], wanted)
    ran, reference = both("MaxPool", opset)
    assert np.array_equal(ran, reference)
PYTHON
