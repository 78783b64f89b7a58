"""A runtime fuses nodes of a graph into kernels of its own: this module finds which, so that modules keep their names.

A kernel is anchored at what the runtime still calls it by: names of nodes, of tensors that they give, of weights. What
is not anchored goes where the data flow: behind a product into its kernel, as graph compilers fuse activations and
sums. Each node of the graph is in one kernel at most; a kernel without any was added, or cannot be told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from resbench.arch.rows import Cost, Row
from resbench.arch.windows import INPUT
from resbench.graphs.counting import count
from resbench.graphs.graph import Flow, Graph, Unknown
from resbench.graphs.naming import own_name, scope
from resbench.graphs.operators import LOOKS
from resbench.graphs.walking import Step, Walk
from resbench.units import FP32_BYTES

LAID = "fused"
"""A kernel of this operator multiplies nothing: it lays the weights of the next one out anew, among other things."""


class Kernel(NamedTuple):
    """A runtime runs this at one go."""

    name: str
    operator: str
    anchors: tuple[str, ...] = ()
    """Nodes, tensors and weights of the graph that it is known by."""
    reads: tuple[int, ...] = ()
    """It reads what the kernels at these places give."""
    added: bool = False
    """The runtime put it in, to lay out numbers anew: it runs no node."""


class Place(NamedTuple):
    """One node or layer runs at this place of a run: of its kernels only this matters."""

    reads: tuple[int, ...]
    multiplies: bool


class Group(NamedTuple):
    """These rows of a graph's cost run in one kernel; there are none where it only looks at a tensor in another shape,
    or nothing tells what it does."""

    rows: tuple[int, ...]
    name: str
    """The modules are joined in it; it is empty where nothing tells."""
    macs: int = 0
    bytes: int = 0
    """It reads so many of what others hold or give, and writes so many that others read."""


def groups(graph: Graph, kernels: Sequence[Kernel]) -> list[Group]:
    """Find the rows that each kernel runs, in the order of the kernels."""
    walk = Walk()
    walk.run(graph)
    rows = count(graph).layers[: len(walk.steps)]
    places = [Place(step.reads, bool(step.work and step.work[0])) for step in walk.steps]
    owners = owners_of(places, _named(walk, graph), kernels)
    found: list[list[int]] = [[] for _ in kernels]
    for place, kernel in sorted(owners.items()):
        found[kernel].append(place)
    read = _read(walk.steps, graph)
    looks = {node.name: scope(node) or own_name(node) for node in graph.nodes if node.operator in LOOKS}
    return [
        _group(places, rows, walk.steps, read, graph) if places else Group((), _looking(kernel, looks))
        for kernel, places in zip(kernels, found, strict=True)
    ]


def groups_of_rows(cost: Cost, kernels: Sequence[Kernel]) -> list[Group]:
    """Find the rows of a cost that each kernel runs; kernels are anchored at the names of modules.

    What carries weights and takes MACs belongs to the kernel of its operator, not to one that only lays them out anew.
    """
    rows = cost.layers
    named = {row.name: [place] for place, row in enumerate(rows)}
    products = {row.name for row in rows if row.macs}
    laid = [
        kernel._replace(anchors=tuple(name for name in kernel.anchors if name not in products))
        if kernel.operator == LAID
        else kernel
        for kernel in kernels
    ]
    owners = owners_of([Place(row.reads, row.macs > 0) for row in rows], named, laid)
    found: list[list[int]] = [[] for _ in kernels]
    for place, kernel in sorted(owners.items()):
        found[kernel].append(place)
    return [_group_of_rows(cost, places) for places in found]


def _group_of_rows(cost: Cost, places: Sequence[int]) -> Group:
    """Join rows: they read what others gave, their weights, and the network's input where they read nothing else."""
    rows = [cost.layers[place] for place in places]
    readers = [row.reads for i, row in enumerate(cost.layers) if i not in places]
    taken = {source for row in rows for source in row.reads} - {*places}
    given = [place for place in places if any(place in reads for reads in readers) or place == len(cost.layers) - 1]
    nbytes = sum(_output_bytes(cost.layers[place]) for place in (*taken, *given))
    nbytes += sum(row.param_bytes if row.param_bytes is not None else FP32_BYTES * row.params for row in rows)
    nbytes += sum(row.buffer_bytes or 0 for row in rows)
    nbytes += sum(cost.input_bytes or 0 for row in rows if not row.reads)
    return Group(tuple(places), joined([row.name for row in rows]), sum(row.macs for row in rows), nbytes)


def _output_bytes(row: Row) -> int:
    return row.activation_bytes if row.activation_bytes is not None else FP32_BYTES * (row.activations or 0)


def _looking(kernel: Kernel, looks: Mapping[str, str]) -> str:
    """Name a kernel that only looks at a tensor in another shape, which has no row."""
    return next((looks[anchor] for anchor in kernel.anchors if anchor in looks), "")


def owners_of(steps: Sequence[Place], named: Mapping[str, Sequence[int]], kernels: Sequence[Kernel]) -> dict[int, int]:
    """Give every place that a kernel runs the kernel's own. ``named`` are the places by what may anchor a kernel."""
    owners: dict[int, int] = {}
    for i, kernel in enumerate(kernels):
        own = [place for anchor in kernel.anchors for place in named.get(anchor, ()) if place not in owners]
        owners |= dict.fromkeys(own, i)
        if own and not any(steps[place].multiplies for place in own):
            owners |= dict.fromkeys(_behind(steps, own, owners), i)
    for i, kernel in enumerate(kernels):
        if not kernel.added and i not in owners.values():
            before, behind = _around(i, kernels, {*owners.values()})
            owners |= dict.fromkeys(_between(steps, owners, before, behind), i)
    for place, step in enumerate(steps):  # in running order: who made what it reads has an owner
        makers = [owners[source] for source in step.reads if source in owners]
        if place not in owners and makers:
            owners[place] = max(makers)
    return owners


def _named(walk: Walk, graph: Graph) -> dict[str, list[int]]:
    """Give the steps by every name that a runtime may know them by: the node's, its tensors', its weights' where no
    other step takes them."""
    found: dict[str, list[int]] = {}
    for place, step in enumerate(walk.steps):
        for name in {held.flow.name for held in step.weights}:
            found.setdefault(name, []).append(place)
    found = {name: places for name, places in found.items() if len(places) == 1}
    for place, step in enumerate(walk.steps):
        found |= {name: [place] for name in (step.node.name, *step.node.outputs) if name}
    for node in graph.nodes:  # what only looks at a tensor is no step of its own
        sights = walk.made[node.outputs[0]].sights if node.outputs[0] in walk.made else ()
        for name in (node.name, *node.outputs):
            found.setdefault(name, [sight.place for sight in sights if sight.place != INPUT])
    return found


def _behind(steps: Sequence[Place], own: Iterable[int], owners: dict[int, int]) -> Iterator[int]:
    """Yield the product whose result the steps of a kernel make something of, with what stands between, if that is a
    chain that nobody else has."""
    for place in own:
        chain, at = list[int](), place
        while True:
            before = [source for source in steps[at].reads if source not in owners]
            if len(before) != 1:
                break
            [at] = before
            chain.append(at)
            if steps[at].multiplies:
                yield from chain
                break


def _around(i: int, kernels: Sequence[Kernel], owning: set[int]) -> tuple[set[int], set[int]]:
    """Find the kernels before and behind one, of those that own steps: others are looked through."""
    readers = [[k for k, other in enumerate(kernels) if at in other.reads] for at in range(len(kernels))]
    found = list[set[int]]()
    for beside in ([kernel.reads for kernel in kernels], readers):
        seen, left, ends = {i}, [i], set[int]()
        while left:
            for k in beside[left.pop()]:
                if k in owning:
                    ends.add(k)
                elif k not in seen:
                    seen.add(k)
                    left.append(k)
        found.append(ends)
    return found[0], found[1]


def _between(steps: Sequence[Place], owners: dict[int, int], before: set[int], behind: set[int]) -> Iterator[int]:
    """Yield the steps that nobody has between those of some kernels and those of others."""
    wanted, left = set[int](), [place for place, owner in owners.items() if owner in behind]
    while left:
        for source in steps[left.pop()].reads:
            if source not in owners and source not in wanted:
                wanted.add(source)
                left.append(source)
    reached = {place for place, owner in owners.items() if owner in before}
    for place, step in enumerate(steps):
        if place in wanted and reached.intersection(step.reads):
            reached.add(place)
            yield place


def _read(steps: Sequence[Step], graph: Graph) -> dict[str, list[int]]:
    """Tell which steps read a tensor; what the graph gives is read by nobody inside."""
    found: dict[str, list[int]] = {name: [-1] for name in graph.outputs}
    for place, step in enumerate(steps):
        for name in step.node.inputs:
            found.setdefault(name, []).append(place)
    return found


def _group(
    places: Sequence[int], rows: Sequence[Row], steps: Sequence[Step], read: dict[str, list[int]], graph: Graph
) -> Group:
    inside = {name for place in places for name in steps[place].node.outputs}
    taken = {name for place in places for name in steps[place].node.inputs if name} - inside
    given = {name for name in inside if any(reader not in places for reader in read.get(name, [-1]))}
    nbytes = sum(_bytes(graph.flows.get(name) or graph.held.get(name)) for name in sorted(taken | given))
    return Group(tuple(places), joined([rows[i].name for i in places]), sum(rows[i].macs for i in places), nbytes)


def _bytes(flow: Flow | None) -> int:
    try:
        return flow.nbytes if flow else 0
    except Unknown:
        return 0


def joined(names: Sequence[str]) -> str:
    """Join names, each without the path that it shares with the first.

    >>> joined(["layer1.0.conv2", "layer1.0.add", "layer1.0.relu2"])
    'layer1.0.conv2 + add + relu2'
    """
    if not names:
        return ""
    around = names[0].rpartition(".")[0]
    return " + ".join([names[0], *(name.removeprefix(f"{around}.") for name in names[1:])])
