#!/usr/bin/env bash
# onnx 1.23.2: shape inference behind GroupNormalization (opset 21), whose output has the shape of its input.
#
# Expected: the shape, as behind every other normalisation: the checker passes the model, and the operator has a body.
# Seen:     none; strict inference raises at the node behind it, and behind InstanceNormalization, which differs in name
#           and attribute alone, the shape is there. A counter that multiplies shapes finds nothing behind the first one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import onnx
from onnx import TensorProto, helper
from onnx.shape_inference import InferenceError, infer_shapes


def model(operator, **attributes):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    nodes = [helper.make_node(operator, ["x", "a", "b"], ["y"], **attributes), helper.make_node("Relu", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "graph", [value("x", [1, 4, 2, 2]), value("a", [4]), value("b", [4])], [value("z", [1, 4, 2, 2])])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(made)
    return made


def shape(made):
    (value,) = [one for one in infer_shapes(made).graph.value_info if one.name == "y"] or [None]
    return value and [size.dim_value for size in value.type.tensor_type.shape.dim]


group, instance = shape(model("GroupNormalization", num_groups=2)), shape(model("InstanceNormalization"))
print("behind GroupNormalization:", group, "behind InstanceNormalization:", instance)
try:
    infer_shapes(model("GroupNormalization", num_groups=2), strict_mode=True)
    raised = False
except InferenceError as error:
    raised = True
    print(str(error).strip().splitlines()[-1])
assert group is None and instance == [1, 4, 2, 2] and raised
PYTHON
