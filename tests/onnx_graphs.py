"""Graphs of ONNX that tests write themselves, node by node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

TYPES = {
    "f": TensorProto.FLOAT,
    "i": TensorProto.INT64,
    "n": TensorProto.INT32,
    "q": TensorProto.INT8,
    "u": TensorProto.UINT8,
    "b": TensorProto.BOOL,
    "": TensorProto.UNDEFINED,
}


def number(value, dtype=np.float32):
    return np.array(value, dtype)


def value(name, shape=None, kind="f"):
    """A tensor that flows, by the shape of which a size may be free."""
    return helper.make_tensor_value_info(name, TYPES[kind], shape)


def node(operator, inputs, outputs="y", domain="", name="", **attributes):
    """``node("Conv", "x w", "y", kernel_shape=[3, 3])``; a dot stands for an input that is left out."""
    taken = ["" if word == "." else word for word in inputs.split()]
    return helper.make_node(operator, taken, outputs.split(), name=name, domain=domain, **attributes)


def graph(nodes, inputs, weights=(), outputs=("y",)):
    """``inputs`` and ``weights`` are shapes, or arrays, by name; an output's shape is for others to infer."""
    held = [
        numpy_helper.from_array(one if isinstance(one, np.ndarray) else np.ones(one, np.float32), name)
        for name, one in dict(weights).items()
    ]
    taken = [one if hasattr(one, "type") else value(name, one) for name, one in inputs.items()]
    given = [one if hasattr(one, "type") else value(one) for one in outputs]
    return helper.make_graph(nodes, "net", taken, given, held)


def model(nodes, inputs, weights=(), outputs=("y",), opset=20, **others):
    """A whole model, which ONNX's own checker does not have to like."""
    made = graph(nodes, inputs, weights, outputs)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("mine", 1)]
    return helper.make_model(made, opset_imports=sets, **others)


def counted(given, shapes=None):
    """The cost of a model that is in memory."""
    from resbench.graphs.counting import count
    from resbench.graphs.reading import GraphFile

    return count(GraphFile("net.onnx", given).sized(shapes or {}), "net")


def one(operator, inputs, shapes, weights=(), **others):
    """The only row of a graph of one node."""
    names = others.pop("outputs", "y")
    keep = {key: others.pop(key) for key in ("opset",) if key in others}
    made = model([node(operator, inputs, names, **others)], shapes, weights, names.split(), **keep)
    (row,) = counted(made).layers
    return row
