"""Some nodes calculate shapes: where inference does not follow them, they are evaluated, and it is asked again."""

from collections.abc import Iterator
from math import prod
from typing import Any

import onnx
from onnx import numpy_helper, shape_inference

from resbench.graphs.graph import STANDARD
from resbench.graphs.rounding import round_down, rounds_up
from resbench.graphs.standins import is_strange, needed, with_stand_ins

MOST = 4096
"""A tensor of more elements decides no shape."""

ROUNDS = 20

SETTLED = "evaluated by resbench"
"""A tensor that the file does not hold, but calculates from what it holds and from shapes, has this docstring."""

FLOATS = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
    if hasattr(onnx.TensorProto, name)
)

CALCULATES = frozenset(
    """
    Constant Identity Cast CastLike Add Sub Mul Div Mod Neg Abs Sign Floor Ceil Round Sqrt Pow Reciprocal Min Max Sum
    Clip Equal Greater GreaterOrEqual Less LessOrEqual Not And Or Xor Where BitShift BitwiseAnd BitwiseOr BitwiseXor
    BitwiseNot Shape Size Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather GatherElements
    GatherND NonZero ScatterElements ScatterND ReduceSum ReduceProd ReduceMax ReduceMin ReduceMean CumSum ArgMax
    ArgMin TopK
    """.split()
)
"""Shapes are calculated with these, whose results are no larger than what they are given."""

GROWS = frozenset("ConstantOfShape Expand Tile Range Pad OneHot".split())
"""And with these, where it is known that the result is small."""


def evaluated(model: Any, *, strict: bool) -> Any:
    """Infer the shapes of a model as far as they can be known. ``strict``: raise where shapes do not fit."""
    model = _inferred(model, strict)
    for _ in range(ROUNDS):
        if not _unclear(model.graph):
            break
        changed = [_evaluate(model), _carry(model.graph, {})]
        if not any(changed):
            break
        model = _inferred(model, strict)
    return model


def _inferred(model: Any, strict: bool) -> Any:
    """Infer shapes; strictly only where every operator is one that does so."""
    every = [node for graph in graphs(model.graph) for node in graph.node]
    strict = strict and not any(map(is_strange, every))
    # onnx writes down all numbers of a range, which may never end; here small ones are evaluated
    propagates = all(node.op_type != "Range" for node in every)
    if not any(needed(node) or rounds_up(node) for node in every):
        return shape_inference.infer_shapes(model, strict_mode=strict, data_prop=propagates)
    twin = type(model)()
    twin.CopyFrom(model)
    with_stand_ins(twin.graph)
    _round_down(twin, propagates)
    twin = shape_inference.infer_shapes(twin, strict_mode=strict, data_prop=propagates)
    for graph, inferred in zip(graphs(model.graph), graphs(twin.graph), strict=True):
        for field in ("value_info", "output"):
            del getattr(graph, field)[:]
            getattr(graph, field).extend(getattr(inferred, field))
    return model


def _round_down(model: Any, propagates: bool) -> None:
    """Let poolings that round up round down, as far as the sides are known of what they read. Behind one that gives
    others than were inferred all are inferred anew, for who wrote the file may have inferred them too."""
    while waiting := [node for graph in graphs(model.graph) for node in graph.node if rounds_up(node)]:
        shapes = _shapes(shape_inference.infer_shapes(model, data_prop=propagates).graph)
        ready = [node for node in waiting if node.input[0] in shapes]
        for node in ready:
            given = round_down(node, shapes[node.input[0]][2:])
            if given != shapes.get(node.output[0], given)[-len(given) :]:
                _forget_behind(model.graph, node.output[0])
                break
        if not ready:
            return


def _forget_behind(graph: Any, name: str) -> None:
    """Take away the shapes of a tensor, and of all that is calculated from it."""
    behind = {name}
    for body in graphs(graph):
        for node in body.node:
            if not behind.isdisjoint(node.input):
                behind.update(node.output)
    for body in graphs(graph):
        for one in (*body.value_info, *body.output):
            if one.name in behind:
                one.type.tensor_type.ClearField("shape")


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes that are known of what is in a graph, and in the bodies in it."""
    every = [one for body in graphs(graph) for one in (*body.input, *body.value_info, *body.output)]
    known = [one for one in every if _is_known(one)]
    return {one.name: tuple(side.dim_value for side in one.type.tensor_type.shape.dim) for one in known}


def graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph's message and those of the bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs(inner)


def _unclear(graph: Any) -> bool:
    """Tell whether a tensor has no shape, or control flow waits for a value."""
    known = {one.name for one in (*graph.value_info, *graph.output, *graph.input) if _is_known(one)}
    return any(
        any(name and name not in known for name in node.output) or any(a.HasField("g") for a in node.attribute)
        for node in graph.node
    )


def _is_known(one: Any) -> bool:
    tensor = one.type.tensor_type
    return tensor.HasField("shape") and all(side.HasField("dim_value") for side in tensor.shape.dim)


def _evaluate(model: Any) -> bool:
    """Put constants for nodes whose result is known, and the branch that is taken for an ``If``; tell if any was."""
    versions = {one.domain: one.version for one in model.opset_import}
    return _fold(model.graph, {}, {}, versions)


def _fold(graph: Any, values: dict[str, Any], shapes: dict[str, tuple[int, ...]], versions: dict[str, int]) -> bool:
    values, shapes, changed = dict(values), dict(shapes), False
    for one in graph.initializer:
        size = prod(one.dims)
        shapes[one.name] = tuple(one.dims)
        if size <= MOST and has_content(one, size) and not _is_weight(one, size):
            values[one.name] = numpy_helper.to_array(one)
    for one in (*graph.input, *graph.value_info, *graph.output):
        if _is_known(one):
            shapes[one.name] = tuple(side.dim_value for side in one.type.tensor_type.shape.dim)
    kept: list[Any] = []
    for node in graph.node:
        if node.op_type == "If" and node.input[0] in values:
            taken = "then_branch" if values[node.input[0]].item() else "else_branch"
            branch = next(one.g for one in node.attribute if one.name == taken)
            graph.initializer.extend(branch.initializer)
            kept += _spliced(branch, node)
            changed = True
            continue
        own = node.domain in STANDARD and not (node.op_type == "Constant" and _is_weight(*_constant(node)))
        results = _results(node, values, shapes, versions) if own else None
        if results is None:
            kept.append(node)
            for one in node.attribute:
                if one.HasField("g"):
                    changed |= _fold(one.g, values, shapes, versions)
            continue
        for name, result in zip(node.output, results, strict=False):
            if name:
                values[name] = result
                if node.op_type != "Constant":
                    graph.initializer.append(numpy_helper.from_array(result, name))
                    graph.initializer[-1].doc_string = SETTLED
        if node.op_type == "Constant":
            kept.append(node)
        else:
            changed = True
    if changed:
        del graph.node[:]
        graph.node.extend(kept)
    return changed


def _carry(graph: Any, around: dict[str, Any]) -> bool:
    """Give what a loop carries the shape that it starts with, and what it ends with that of its body; tell if any got
    one. A loop whose first round changes a shape ends with nobody knows which."""
    types = around | {one.name: one.type for one in (*graph.input, *graph.value_info, *graph.output) if _is_known(one)}
    for one in graph.initializer:
        types[one.name] = onnx.helper.make_tensor_type_proto(one.data_type, one.dims)
    changed = False
    for node in graph.node:
        for body in (one.g for one in node.attribute if one.HasField("g")):
            changed |= node.op_type == "Loop" and _carried(graph, node, body, types)
            changed |= _carry(body, types)
    return changed


def _carried(graph: Any, node: Any, body: Any, types: dict[str, Any]) -> bool:
    changed = False
    for inner, name in zip(body.input[2:], node.input[2:], strict=False):
        if name in types and not _is_known(inner):
            inner.type.CopyFrom(types[name])
            changed = True
    for outer, inner, given in zip(node.output, body.output[1:], body.input[2:], strict=False):
        if outer and outer not in types and _is_known(inner) and inner.type == given.type:
            for one in graph.output:
                if one.name == outer:
                    one.type.CopyFrom(inner.type)
            graph.value_info.append(onnx.helper.make_value_info(outer, inner.type))
            changed = True
    return changed


def has_content(tensor: Any, size: int) -> bool:
    """Tell whether its numbers are here: they are left out of large ones, and those that lie in other files."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return False
    return not size or any(
        len(getattr(tensor, name))
        for name in ("raw_data", "int64_data", "int32_data", "float_data", "double_data", "uint64_data")
    )


def _is_weight(tensor: Any, size: int) -> bool:
    """Tell whether it may be a weight, which stays where it is: several numbers that are not whole."""
    return size > 1 and tensor.data_type in FLOATS


def _spliced(branch: Any, node: Any) -> Iterator[Any]:
    """Yield the nodes of a branch in place of the ``If`` that takes it."""
    yield from branch.node
    for inner, outer in zip(branch.output, node.output, strict=True):
        yield onnx.helper.make_node("Identity", [inner.name], [outer], name=node.name)


def _constant(node: Any) -> tuple[Any, int]:
    """The tensor that a ``Constant`` holds, and its size; an empty one where its attribute is no tensor."""
    tensor = node.attribute[0].t
    return tensor, prod(tensor.dims)


def _results(node: Any, values: dict[str, Any], shapes: dict[str, Any], versions: dict[str, int]) -> Any:
    """Evaluate a node whose inputs are known; None where they are not, or nobody can."""
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        return [_asked(node, shapes[node.input[0]])]
    given = [name for name in node.input if name]
    grown = shapes.get(node.output[0]) if node.op_type in GROWS else None
    if node.op_type not in CALCULATES and (grown is None or prod(grown) > MOST):
        return None
    if not all(name in values for name in given) or (not given and node.op_type != "Constant"):
        return None
    from onnx.reference import ReferenceEvaluator

    try:
        results = ReferenceEvaluator(_alone(node, versions)).run(None, {name: values[name] for name in given})
    except Exception:  # whatever an operator does not do with these
        return None
    return results if all(getattr(one, "size", MOST + 1) <= MOST for one in results) else None


def _alone(node: Any, versions: dict[str, int]) -> Any:
    """A model of one node: a bare one would be evaluated as the newest version of its operator."""
    inputs, outputs = (
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name] for names in (node.input, node.output)
    )
    sets = [onnx.helper.make_opsetid(*one) for one in versions.items()]
    return onnx.helper.make_model(onnx.helper.make_graph([node], "node", inputs, outputs), opset_imports=sets)


def _asked(node: Any, shape: tuple[int, ...]) -> Any:
    """The value of ``Shape`` or ``Size``."""
    said = {one.name: one.i for one in node.attribute}
    sides = shape[slice(said.get("start", 0), said.get("end", len(shape)))]
    dims, numbers = ((), (prod(shape),)) if node.op_type == "Size" else ((len(sides),), sides)
    return numpy_helper.to_array(onnx.helper.make_tensor("", onnx.TensorProto.INT64, dims, numbers))
