"""A message of protobuf becomes a graph that is a value."""

import re
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import numpy_helper

from resbench.graphs.graph import STANDARD, Flow, Graph, GraphNode
from resbench.graphs.operators import LOOKS
from resbench.graphs.values import SETTLED, has_content
from resbench.units import printable

SCOPES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
"""torch's exporter writes the modules around a node under these keys."""

SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
"""And under this one what it was called with, a line for each tensor."""

HELD = re.compile(r": (PARAMETER|BUFFER) target='([^']+)'")

FEW = 64
"""A tensor of at most so many numbers may decide something: its values are kept."""


def type_name(element: int) -> str:
    """Name a type of elements: ``float32``, ``int8``, ``bool``.

    >>> type_name(1), type_name(10), type_name(0)
    ('float32', 'float16', '')
    """
    name = onnx.TensorProto.DataType.Name(element).lower() if element else ""
    return {"float": "float32", "double": "float64"}.get(name, name)


def frozen(model: Any) -> Graph:
    """Freeze the graph of a model."""
    versions = {one.domain or "ai.onnx": one.version for one in model.opset_import}
    return _graph(model.graph, {}, versions)


def _graph(graph: Any, around: Mapping[str, Flow], versions: Mapping[str, int]) -> Graph:
    held: dict[str, Flow] = {}
    values: dict[str, tuple[Any, ...]] = {}
    settled: dict[str, Flow] = {}
    for tensor in graph.initializer:
        _hold(tensor, tensor.name, settled if tensor.doc_string == SETTLED else held, values)
    for sparse in graph.sparse_initializer:
        held[sparse.values.name] = Flow(
            sparse.values.name, tuple(sparse.values.dims), type_name(sparse.values.data_type)
        )
    flows = dict(around)
    for one in (*graph.output, *graph.value_info, *graph.input):  # an output may be an input, and say less of it
        flows[one.name] = _flow(one)
    nodes, inline = [], set()
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in STANDARD:
            _constant(node, held, values)
            inline.add(node.output[0])
        else:
            nodes.append(node)
            if node.op_type in LOOKS and node.input and node.input[0] in values:
                values[node.output[0]] = values[node.input[0]]
    flows |= held | settled
    inputs = tuple(flows[one.name] for one in graph.input if one.name not in held)
    made = tuple(_node(node, flows, versions) for node in nodes)
    signature = next((one.value for one in graph.metadata_props if one.key == SIGNATURE), "")
    kinds = {name: kind.lower() for kind, name in HELD.findall(signature)}
    outputs = tuple(one.name for one in graph.output)
    return Graph(inputs, outputs, made, flows, held, frozenset(settled), frozenset(inline), values, kinds, versions)


def _flow(one: Any) -> Flow:
    tensor = one.type.tensor_type
    known = one.type.HasField("tensor_type") and tensor.HasField("shape")
    known = known and all(side.HasField("dim_value") for side in tensor.shape.dim)
    shape = tuple(side.dim_value for side in tensor.shape.dim) if known else None
    return Flow(one.name, shape, type_name(tensor.elem_type))


def _hold(tensor: Any, name: str, held: dict[str, Flow], values: dict[str, tuple[Any, ...]]) -> None:
    held[name] = flow = Flow(name, tuple(tensor.dims), type_name(tensor.data_type))
    if flow.size <= FEW and tensor.data_type != onnx.TensorProto.STRING and has_content(tensor, flow.size):
        values[name] = tuple(numpy_helper.to_array(tensor).ravel().tolist())


def _constant(node: Any, held: dict[str, Flow], values: dict[str, tuple[Any, ...]]) -> None:
    """Hold what a node without inputs makes, whichever of its attributes says it."""
    name, said = node.output[0], node.attribute[0]
    if said.name == "value":
        _hold(said.t, name, held, values)
    elif said.name == "sparse_value":
        held[name] = Flow(name, tuple(said.sparse_tensor.dims), type_name(said.sparse_tensor.values.data_type))
    else:
        given = onnx.helper.get_attribute_value(said)
        several = given if isinstance(given, list | tuple) else None
        dtype = "int64" if "int" in said.name else "float32" if "float" in said.name else "string"
        held[name] = Flow(name, () if several is None else (len(several),), dtype)
        if dtype == "int64" and (several is None or len(several) <= FEW):
            values[name] = tuple([given] if several is None else several)


def _node(node: Any, flows: Mapping[str, Flow], versions: Mapping[str, int]) -> GraphNode:
    domain = "" if node.domain in STANDARD else f"{node.domain}."
    attributes, bodies = {}, {}
    for one in node.attribute:
        if one.type == onnx.AttributeProto.GRAPH:
            bodies[one.name] = _graph(one.g, flows, versions)
        elif one.type not in (onnx.AttributeProto.TENSOR, onnx.AttributeProto.TENSORS):
            attributes[one.name] = onnx.helper.get_attribute_value(one)
    said = {entry.key: entry.value for entry in node.metadata_props}
    return GraphNode(
        printable(node.name),
        printable(domain + node.op_type),
        tuple(node.input),
        tuple(node.output),
        attributes,
        _listed(said.get(SCOPES, "")),
        _listed(said.get(CLASSES, "")),
        bodies,
    )


def _listed(text: str) -> tuple[str, ...]:
    """Read ``['', 'layer1', 'conv2d']``, as the exporter writes it; nothing where it is something else."""
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        return ()
    return tuple(printable(part.strip().strip("'\"")) for part in inner[1:-1].split(","))
