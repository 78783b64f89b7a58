#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.32.0: poolings of dilation 2 whose padding is left to `auto_pad`, on a map of 7x7.
#
# Expected: with SAME_UPPER or SAME_LOWER ceil(7 / stride) a side, as the operator's text says and onnx infers; or an
#           error, as ONNX Runtime gives for a convolution of the same attributes.
# Seen:     without an error, ONNX Runtime pads for a kernel that is not dilated: 5 instead of 7 a side for a kernel of 3
#           and stride 1, 3 instead of 4 for stride 2; MaxPool, AveragePool and LpPool alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference


def sides(operator, stride, auto):
    weights = [numpy_helper.from_array(np.zeros((2, 2, 3, 3), np.float32), "w")] if operator == "Conv" else []
    node = helper.make_node(
        operator,
        ["x", *(one.name for one in weights)],
        ["y"],
        kernel_shape=[3, 3],
        strides=[stride] * 2,
        dilations=[2, 2],
        auto_pad=auto,
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 7, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape.dim
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        ran = session.run(None, {"x": np.zeros((1, 2, 7, 7), np.float32)})[0].shape[2]
    except Exception as error:
        ran = f"refused ({str(error).split(': ')[-1]})"
    return inferred[2].dim_value, ran


for auto in ("SAME_UPPER", "SAME_LOWER"):
    for operator in ("MaxPool", "AveragePool", "LpPool"):
        for stride, wanted in ((1, (7, 5)), (2, (4, 3)), (3, (3, 2))):
            found = sides(operator, stride, auto)
            print(f"{operator}, {auto}, stride {stride}: inferred {found[0]} a side, ran {found[1]}")
            assert found == wanted
    found = sides("Conv", 1, auto)
    print(f"Conv, {auto}, stride 1: inferred {found[0]} a side, {found[1]}")
    assert found[0] == 7 and "refused" in found[1]
PYTHON
