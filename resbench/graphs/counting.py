"""The reading `count` makes a cost of a graph: a row for each node that does something, under its module's name.

A tensor that the file holds is a parameter where it is a weight of an operator (a kernel, gamma, a table), or has
several numbers that are added to others or multiplied; or where torch's exporter says that it was one. Shapes, axes,
limits and scales are none; nor are running statistics, which are buffers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from resbench.arch.kinds import Kind
from resbench.arch.rows import Cost, Row
from resbench.arch.windows import multiplied
from resbench.errors import ShapeError, SourceError, first_line, foreign
from resbench.graphs.graph import BLOCKED, Flow, Graph, GraphNode, Unknown
from resbench.graphs.naming import names, owner
from resbench.graphs.products import WITH_MACS
from resbench.graphs.walking import Held, Step, Walk
from resbench.units import plural, printable

NARROW = frozenset("int8 uint8 int4 uint4 int2 uint2".split())
"""Quantised weights have these types, and their biases int32."""


def count(graph: Graph, model: str = "", source: str = "onnx") -> Cost:
    """Count every node of a graph, for the inputs that it has its shapes for. Raises ShapeError where they do not
    fit, and SourceError for a graph that does not hold together, such as one with a loop that has no body."""

    def say(error: BaseException) -> str:
        reason = f"{type(error).__name__}: {first_line(error)}"
        return (
            f"{model}: its graph does not hold together ({reason}); see what onnx.checker.check_model says of the file"
        )

    try:
        with foreign(SourceError, say):
            return _counted(graph, model, source)
    except ShapeError as error:
        raise ShapeError(error.reason, model) from error


def _counted(graph: Graph, model: str, source: str) -> Cost:
    walk = Walk()
    walk.run(graph)
    holdings = Holdings(graph)
    first = {place: name for place, step in enumerate(walk.steps) if (name := _first(step, graph))}
    called = names([step.node for step in walk.steps], first, [step.work or (1, 0) for step in walk.steps])
    rows = [_row(called[place], step, holdings) for place, step in enumerate(walk.steps)]
    rows += [row for step in walk.aside if (row := holdings.idle(step))]
    rows += holdings.left()
    uncounted = Counter(_uncounted(step) for step in (*walk.steps, *walk.aside) if step.work is None)
    given = [_bytes([flow]) for flow in graph.inputs]
    return Cost(
        model,
        source,
        (graph.inputs[0].shape or ()) if graph.inputs else (),
        tuple(rows),
        tuple(sorted(uncounted.items())),
        input_bytes=None if None in given else sum(filter(None, given)),
        forks=tuple(walk.forks),
        remarks=tuple(_remarks(graph, walk.steps)),
    )


class Holdings:
    """What a file holds is counted where it is first used, as weights or as what is not learned."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.taken: set[str] = set()

    def take(self, step: Step) -> tuple[int, int, int]:
        """Count what a step is the first to use: parameters, their bytes, the bytes of buffers."""
        params = nbytes = buffers = 0
        for held in step.weights:
            if held.flow.name in self.taken or held.flow.shape is None:
                continue
            self.taken.add(held.flow.name)
            if is_weight(held, step, self.graph):
                params += held.flow.size
                nbytes += held.flow.nbytes
            elif self._is_buffer(held):
                buffers += held.flow.nbytes
        return params, nbytes, buffers

    def _is_buffer(self, held: Held) -> bool:
        several = held.flow.is_float and held.flow.size > 1
        return held.scales or several or self.graph.kinds.get(held.flow.name) == "buffer"

    def idle(self, step: Step) -> Row | None:
        """Give a row of the weights of a node that does not run."""
        params, nbytes, buffers = self.take(step)
        name = owner(_first(step, self.graph)) or step.node.name or step.node.operator.lower()
        return _idle(name, step.node.operator, params, nbytes, buffers) if params or buffers else None

    def left(self) -> Iterable[Row]:
        """Yield a row for each weight that no node uses."""
        for name, flow in self.graph.held.items():
            if name not in self.taken and flow.is_float and flow.size > 1 and not self._used(name):
                yield _idle(owner(name) or printable(name), "unused", flow.size, flow.nbytes, 0)

    def _used(self, name: str) -> bool:
        return any(name in node.inputs for node in self.graph.everywhere())


def is_weight(held: Held, step: Step, graph: Graph) -> bool:
    """Tell whether what the file holds is a parameter."""
    said = graph.kinds.get(held.flow.name)
    if said or held.scales:
        return said == "parameter"
    operator, flow = step.operator, held.flow
    if operator and held.slot not in operator.learned:
        return False
    if step.node.operator == "InstanceNormalization" and _changes_nothing(held, graph):
        return False
    # a number without axes is spread to be one: the zero that an exporter makes a bias of
    weighed = operator is not None and operator.kind in WITH_MACS and flow.shape != ()
    if held.inline and not weighed:
        return False
    if not (flow.is_float or flow.dtype in NARROW or (weighed and flow.dtype == "int32")):
        return False
    return weighed or flow.size > 1 or (operator is not None and operator.kind == "normalisation")


def _changes_nothing(held: Held, graph: Graph) -> bool:
    """Tell whether a scale of ones or a shift of zeros belongs to no module: torch's exporters write a GroupNorm with
    these, and put its gamma and beta behind."""
    return not owner(held.flow.name) and set(graph.values.get(held.flow.name, (None,))) == {2 - held.slot}


def _first(step: Step, graph: Graph) -> str:
    """Name the first weight of a step."""
    return next((held.flow.name for held in step.weights if is_weight(held, step, graph)), "")


def _row(name: str, step: Step, holdings: Holdings) -> Row:
    macs, elementwise = (step.times * number for number in step.work or (0, 0))
    params, nbytes, buffers = holdings.take(step)
    known = all(flow.shape is not None for flow in step.outputs)
    given = step.times * sum(flow.size for flow in step.outputs) if known else None
    gives = _bytes(step.outputs)
    kind = _kind(step, holdings.graph)
    return Row(
        name,
        _type(step, holdings.graph),
        step.outputs[0].shape or () if step.outputs else (),
        params,
        macs,
        elementwise,
        given,
        None,
        nbytes,
        buffers,
        None if gives is None else step.times * gives,
        None,
        kind,
        step.reads,
        sees=multiplied(step.sees) if kind == "product" else step.sees,
    )


def _idle(name: str, type: str, params: int, nbytes: int, buffers: int) -> Row:
    return Row(name, type, (), params, 0, 0, 0, None, nbytes, buffers, 0, None, "rearrangement", sees=())


def _bytes(flows: Sequence[Flow]) -> int | None:
    try:
        return sum(flow.nbytes for flow in flows)
    except Unknown:
        return None


def _kind(step: Step, graph: Graph) -> Kind:
    """A product with weights is linear, and with a single number a scaling."""
    if step.operator is None:
        return "unknown"
    kind = step.operator.kind
    if kind == "matrix product" and any(is_weight(held, step, graph) for held in step.weights):
        return "linear"
    single = {held.slot for held in step.weights if held.flow.shape is not None and held.flow.size == 1}
    if kind in ("sum", "product") and single and len(step.weights) == len(single) and not _first(step, graph):
        return "scaling"
    return kind


def _type(step: Step, graph: Graph) -> str:
    """Name the operator, and the type of its weights where they are narrower than what it gives."""
    operator = step.node.operator
    if step.operator and step.operator.kind in WITH_MACS and "Q" not in operator and "Integer" not in operator:
        narrow = next((h.flow.dtype for h in step.weights if h.flow.dtype in NARROW and is_weight(h, step, graph)), "")
        return f"{operator} {narrow}".strip()
    return operator


def _uncounted(step: Step) -> str:
    """Name an operator that is not counted, and why if it has a formula."""
    if step.operator is None:
        return step.node.operator
    return f"{step.node.operator} {'with antialias' if step.node.attributes.get('antialias') else 'of unknown shape'}"


def _remarks(graph: Graph, steps: Sequence[Step]) -> Iterable[str]:
    """Say in sentences what the file holds in place of what the module had."""
    folded = sum(_has_norm(step.node) for step in steps if step.operator and step.operator.kind == "convolution")
    if folded:
        whose = "whose bias is its shift" if folded == 1 else "whose biases are its shifts"
        yield f"BN is folded into {plural(folded, 'convolution')}, {whose}"
    yield from _padded(graph, steps)
    names = [name for name, kind in graph.kinds.items() if kind == "parameter"]
    here = sum(name in graph.held or f"{name}_quantized" in graph.held for name in names)
    if 0 < here < len(names):
        yield f"the file holds {here} of the module's {len(names)} parameters under their names"


def _padded(graph: Graph, steps: Sequence[Step]) -> Iterable[str]:
    """Say where channels are laid in blocks, of which the last may not be full: how far it is, few nodes tell."""
    found: dict[str, None] = {}
    for step in steps:
        if step.node.operator == f"{BLOCKED}.ReorderOutput":
            channels, inside = int(step.node.attributes["channels"]), graph.flows.get(step.node.inputs[0])
            if inside and inside.shape and inside.shape[1] != channels:
                found[f"{channels} as {inside.shape[1]}"] = None
    if any(step.node.operator.startswith(BLOCKED) for step in steps):
        more = ["..."] if len(found) > 3 else []
        known = f" ({', '.join([*[*found][:3], *more])})" if found else ""
        yield f"channels are laid in whole blocks, and where they are padded to these{known} the padding counts too"


def _has_norm(node: GraphNode) -> bool:
    """Tell whether a convolution is written under the name of a BN."""
    return any("BatchNorm" in name for name in node.classes[-2:-1])
