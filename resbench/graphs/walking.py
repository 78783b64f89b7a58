"""A graph is walked in running order: what each node takes, what it reads, and which weights flow into it.

What depends on no input and multiplies no matrices is calculated once and not in a run, such as weights that are turned
or dequantised, and shapes: it takes nothing, and has no row.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from resbench.arch.dimensions import image
from resbench.arch.rows import Fork
from resbench.arch.windows import INPUT, Sight
from resbench.graphs.calls import Call, Operator, Work
from resbench.graphs.graph import Flow, Graph, GraphNode, Unknown
from resbench.graphs.naming import own_name, scope
from resbench.graphs.operators import ASKS, LIKE, LOOKS, OPERATORS
from resbench.graphs.products import WITH_MACS
from resbench.graphs.sights import Shown, like, seen

CONTROL = frozenset(("If", "Loop", "Scan"))


class Held(NamedTuple):
    """A tensor that the file holds flows into a node, perhaps turned or dequantised on the way."""

    flow: Flow
    slot: int
    """The node takes it at this place."""
    scales: bool = False
    """On the way it was the scale or the zero point of another."""
    inline: bool = False
    """It stands in a node."""


class Step(NamedTuple):
    """One node runs, perhaps several times."""

    node: GraphNode
    outputs: tuple[Flow, ...]
    operator: Operator | None
    """None for one that nobody has a formula for."""
    work: Work | None
    """None where it is not known, of one run."""
    weights: tuple[Held, ...]
    reads: tuple[int, ...]
    """It takes the outputs of the steps at these places."""
    sees: tuple[Sight, ...]
    """And sees these positions of theirs, or of the network's input."""
    times: int = 1


@dataclass
class Walk:
    """The steps of a run, in their order."""

    steps: list[Step] = field(default_factory=list)
    aside: list[Step] = field(default_factory=list)
    """These stand in branches that do not count."""
    forks: list[Fork] = field(default_factory=list)
    made: dict[str, Shown] = field(default_factory=dict)
    """These tensors come of the network's input."""
    fixed: dict[str, tuple[Held, ...]] = field(default_factory=dict)
    """These tensors depend on no input, and come of what the file holds."""
    axes: int = 0
    """The network's input has so many axes of positions."""

    def run(self, graph: Graph) -> None:
        """Take the nodes of a whole graph. Its first input has the axes, and others of the same sides are more channels
        of it."""
        shapes = [flow.shape or () for flow in graph.inputs]
        self.axes = max(len(shapes[0]) - 2, 0) if shapes else 0
        for flow, shape in zip(graph.inputs, shapes, strict=True):
            if self.axes and shape[2:] == shapes[0][2:]:
                self.made[flow.name] = Shown((Sight(INPUT),), image(shape))
        self.along(graph)

    def along(self, graph: Graph, times: int = 1) -> None:
        """Take the nodes of a graph, each of which runs so often."""
        self.fixed |= {name: (Held(flow, 0, inline=name in graph.inline),) for name, flow in graph.held.items()}
        self.fixed |= dict.fromkeys(graph.settled, ())
        for node in graph.nodes:
            if node.operator in CONTROL:
                self._control(node, graph, times)
            else:
                self._take(node, graph, times)

    def _take(self, node: GraphNode, graph: Graph, times: int) -> None:
        operator = OPERATORS.get(node.operator)
        given = [name for name in node.inputs[: 1 if node.operator in LIKE else None] if name]
        inputs, outputs = (
            tuple(graph.flows.get(name, Flow(name, None, "")) if name else None for name in names)
            for names in (node.inputs, node.outputs)
        )
        call = Call(node, inputs, outputs)
        work = _work(call, operator)
        if node.operator in ASKS or (
            all(name in self.fixed for name in given) and not _multiplies(node, operator, work)
        ):
            origins = () if node.operator in ASKS else self._origins(node, operator)
            self.fixed |= dict.fromkeys(node.outputs, origins)
            return
        shown = [self.made.get(name, Shown()) for name in node.inputs]
        sees, dimensions = seen(call, graph, shown, self.axes)
        if node.operator in LOOKS:
            self._make(node.outputs[0], shown[0]._replace(dimensions=dimensions))
            return
        reads = sorted({sight.place for one in shown for sight in one.sights} - {INPUT})
        known = tuple(one for one in outputs if one is not None)
        for flow in known:
            self._make(flow.name, Shown((Sight(len(self.steps)),), like(dimensions, flow.shape)))
        weights = self._origins(node, operator)
        self.steps.append(Step(node, known, operator, work, weights, tuple(reads), sees, times))

    def _make(self, name: str, shown: Shown) -> None:
        """Note what a tensor shows. In another body one of the same name may have been fixed."""
        self.made[name] = shown
        self.fixed.pop(name, None)

    def _origins(self, node: GraphNode, operator: Operator | None) -> tuple[Held, ...]:
        """Tell what of the file flows into a node, and where."""
        return tuple(
            held._replace(slot=slot, scales=held.scales or bool(operator and slot in operator.held))
            for slot, name in enumerate(node.inputs)
            for held in self.fixed.get(name, ())
        )

    def _control(self, node: GraphNode, graph: Graph, times: int) -> None:
        if node.operator == "If":
            self._branch(node, times)
            return
        body, first = node.bodies["body"], 1 if node.operator == "Loop" else 0
        begin = 2 * first  # the iteration and the condition come before what is carried
        self.fixed |= {flow.name: () for flow in body.inputs[:begin]}
        for flow, name in zip(body.inputs[begin:], node.inputs[begin:], strict=False):
            shown = self.made.get(name, Shown())  # each round another one, and nobody knows which positions it shows
            self._make(flow.name, Shown(tuple(one._replace(window=None) for one in shown.sights)))
        rounds = _rounds(node, graph, body)
        start = len(self.steps)
        self.along(body, times * (1 if rounds is None else rounds))
        if rounds is None:
            self.forks.append(Fork(_place(node), (sum(map(_macs, self.steps[start:])),)))
        for outer, inner in zip(node.outputs, body.outputs[first:], strict=False):
            self._make(outer, self.made.get(inner, Shown()))

    def _branch(self, node: GraphNode, times: int) -> None:
        """Walk both branches, and keep the larger."""
        walks = []
        for branch in ("then_branch", "else_branch"):
            walk = Walk([*self.steps], [], [], dict(self.made), dict(self.fixed), self.axes)
            walk.along(node.bodies[branch], times)
            walks.append((walk, node.bodies[branch].outputs))
        start = len(self.steps)
        works = [(sum(map(_macs, walk.steps[start:])), sum(map(_elementwise, walk.steps[start:]))) for walk, _ in walks]
        larger = max((0, 1), key=lambda i: (works[i], -i))
        (kept, results), (other, _) = walks[larger], walks[1 - larger]
        self.aside += [*kept.aside, *other.steps[start:], *other.aside]
        if works[0] != works[1]:
            self.forks.append(Fork(_place(node), (works[0][0], works[1][0])))
        self.forks += kept.forks
        self.steps, self.made, self.fixed = kept.steps, kept.made, kept.fixed
        for outer, inner in zip(node.outputs, results, strict=True):
            self._make(outer, kept.made.get(inner, Shown()))


def _multiplies(node: GraphNode, operator: Operator | None, work: Work | None) -> bool:
    """Tell whether a node takes MACs, or nobody knows what."""
    if operator is None:
        return node.operator not in LOOKS
    return operator.kind in WITH_MACS if work is None else work[0] > 0


def _work(call: Call, operator: Operator | None) -> Work | None:
    """What one run of a node takes; None where no formula knows, or not without its shapes."""
    try:
        return operator.formula(call) if operator else None
    except (Unknown, AssertionError, LookupError, ValueError):
        return None


def _rounds(node: GraphNode, graph: Graph, body: Graph) -> int | None:
    """Tell how often a loop goes round; None where values decide."""
    if node.operator == "Scan":
        count = int(node.attributes["num_scan_inputs"])
        axes = node.attributes.get("scan_input_axes") or [0] * count
        shape = graph.flows[node.inputs[len(node.inputs) - count]].shape
        return shape[axes[0]] if shape else None
    limit, goes_on = (graph.values.get(name) for name in node.inputs[:2])
    always = _passes_on(body) and (not node.inputs[1] or goes_on == (True,))
    return int(limit[0]) if limit and always else None


def _passes_on(body: Graph) -> bool:
    """Tell whether a loop's condition stays true."""
    made = {name: node for node in body.nodes for name in node.outputs}
    name = body.outputs[0]
    while name in made and made[name].operator == "Identity":
        name = made[name].inputs[0]
    return name == body.inputs[1].name or body.values.get(name) == (True,)


def _macs(step: Step) -> int:
    return (step.work or (0, 0))[0] * step.times


def _elementwise(step: Step) -> int:
    return (step.work or (0, 0))[1] * step.times


def _place(node: GraphNode) -> str:
    """Name control flow by the module around it."""
    around = scope(node)
    return f"{around}.{node.operator.lower()}" if around else own_name(node) or node.operator.lower()
