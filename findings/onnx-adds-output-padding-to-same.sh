#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.32.0: a transposed convolution of stride 2 with auto_pad SAME_UPPER and output_padding 1,
# on a map of 7x7.
#
# Expected: 14x14, for the operator's text says that SAME pads so that a side is that of the input times the stride.
# Seen:     onnx's shape inference gives 15x15 (strict mode too), ONNX Runtime 14x14; without output_padding both 14x14.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference


def sides(auto, **more):
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad=auto, **more
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 7, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.zeros((2, 2, 3, 3), np.float32), "w")]
    graph = helper.make_graph([node], "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape.dim
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return inferred[2].dim_value, session.run(None, {"x": np.zeros((1, 2, 7, 7), np.float32)})[0].shape[2]


for auto in ("SAME_UPPER", "SAME_LOWER"):
    for more, wanted in (({}, (14, 14)), ({"output_padding": [1, 1]}, (15, 14))):
        found = sides(auto, **more)
        print(f"{auto} {more}: inferred {found[0]} a side, ran {found[1]}")
        assert found == wanted
PYTHON
