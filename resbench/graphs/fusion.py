"""A runtime fuses nodes of a graph into kernels of its own: this module finds which, so that modules keep their names.

A kernel is anchored at what the runtime still calls it by: names of nodes, of tensors that they give, of weights. What
is not anchored goes where the data flow: behind a product into its kernel, as graph compilers fuse activations and
sums; a product goes to a kernel that multiplies. Each node of the graph is in one kernel at most; a kernel without any
was added, or cannot be told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from resbench.arch.rows import Cost, Row
from resbench.arch.windows import INPUT
from resbench.graphs.counting import count
from resbench.graphs.graph import Graph
from resbench.graphs.naming import own_name, scope
from resbench.graphs.operators import LOOKS
from resbench.graphs.walking import Walk
from resbench.units import FP32_BYTES


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
    multiplies: bool = False
    """Its operator is a product. Another kernel may have one inside, and may not."""


class Group(NamedTuple):
    """These rows of a graph's cost run in one kernel; there are none where it only looks at a tensor in another shape,
    or nothing tells what it does."""

    rows: tuple[int, ...]
    name: str
    """The modules are joined in it; it is empty where nothing tells."""
    macs: int = 0
    bytes: int = 0
    """It reads so many of what others hold or give, and writes so many that others read."""


HALF = {"bf16": 2, "fp16": 2}
"""A number has so many bytes where all runs in one of these, whatever the graph has."""


def covered(graph: Graph, kernels: Sequence[Kernel]) -> list[Group]:
    """Find the nodes of a graph that each kernel runs, in the order of the kernels."""
    return groups(count(graph), kernels, by_node(graph), looking(graph))


def groups(
    cost: Cost,
    kernels: Sequence[Kernel],
    named: Mapping[str, Sequence[int]],
    looks: Mapping[str, str] | None = None,
    width: int | None = None,
) -> list[Group]:
    """Find the rows that each kernel runs, in the order of the kernels, with ``width`` bytes a number or the graph's.

    ``named`` are the places of rows by what may anchor a kernel. One without rows may only look at a tensor in another
    shape: ``looks`` are such anchors, with the name of the module around.
    """
    found: list[list[int]] = [[] for _ in kernels]
    for place, kernel in sorted(_owners(cost.layers, named, kernels).items()):
        found[kernel].append(place)
    readers: dict[int, set[int]] = {}
    for place, row in enumerate(cost.layers):
        for source in row.reads:
            readers.setdefault(source, set()).add(place)
    return [
        _group(cost, places, readers, width) if places else Group((), _looking(kernel, looks or {}))
        for kernel, places in zip(kernels, found, strict=True)
    ]


def by_module(cost: Cost) -> dict[str, list[int]]:
    """Give the places of rows by their names, for kernels that are anchored at modules; one may run several times."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(cost.layers):
        found.setdefault(row.name, []).append(place)
    return found


def by_node(graph: Graph) -> dict[str, list[int]]:
    """Give the places of a graph's rows by every name that a runtime may know them by: the node's, its tensors', its
    weights' where no other node takes them."""
    walk = Walk()
    walk.run(graph)
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


def looking(graph: Graph) -> dict[str, str]:
    """Name the modules around the nodes that only look at a tensor in another shape."""
    return {node.name: scope(node) or own_name(node) for node in graph.nodes if node.operator in LOOKS}


def _looking(kernel: Kernel, looks: Mapping[str, str]) -> str:
    return next((looks[anchor] for anchor in kernel.anchors if anchor in looks), "")


def _group(cost: Cost, places: Sequence[int], readers: Mapping[int, set[int]], width: int | None) -> Group:
    """Join rows: they read what others gave, their weights and the network's input, and write what others read."""
    rows, inside = [cost.layers[place] for place in places], {*places}
    taken = {source for row in rows for source in row.reads} - inside
    given = [place for place in places if readers.get(place, {INPUT}) - inside]  # what nobody reads is an answer
    moved = [cost.layers[place] for place in (*taken, *given)]
    nbytes = sum(_bytes(row.activations or 0, row.activation_bytes, width) for row in moved)
    nbytes += sum(_bytes(row.params, row.param_bytes, width) for row in rows)
    nbytes += sum(row.buffer_bytes or 0 for row in rows)
    if any(not row.reads or any(sight.place == INPUT for sight in row.sees or ()) for row in rows):
        nbytes += cost.input_bytes or 0
    return Group(tuple(places), joined([row.name for row in rows]), sum(row.macs for row in rows), nbytes)


def _bytes(count: int, known: int | None, width: int | None) -> int:
    """Return the bytes of so many numbers: by their width as they run, else as the graph has them, else in fp32."""
    return known if known is not None and width is None else (width or FP32_BYTES) * count


def _owners(rows: Sequence[Row], named: Mapping[str, Sequence[int]], kernels: Sequence[Kernel]) -> dict[int, int]:
    """Give every row that a kernel runs the kernel's place."""
    owners: dict[int, int] = {}
    for i, kernel in enumerate(kernels):
        free = [place for anchor in kernel.anchors for place in named.get(anchor, ()) if place not in owners]
        own = [*{rows[place].name: place for place in reversed(free)}.values()]  # the next run of each module
        owners |= dict.fromkeys(own, i)
        if own and not any(rows[place].macs for place in own):
            owners |= dict.fromkeys(_behind(rows, own, owners), i)
    reads, readers = [kernel.reads for kernel in kernels], _readers(kernels)
    anchored = {*owners}
    for i in sorted(range(len(kernels)), key=lambda i: not kernels[i].multiplies):
        if not kernels[i].added and i not in owners.values():
            before, behind = (_around(i, beside, {*owners.values()}) for beside in (reads, readers))
            between = [*_between(rows, owners, before, behind)]
            products = [place for place in between if rows[place].macs]
            owners |= dict.fromkeys(products[:1] if kernels[i].multiplies and products else between, i)
    for place, row in enumerate(rows):  # in running order: who made what it reads has an owner
        makers = [owners[source] for source in row.reads if source in owners]
        if place not in owners and makers:
            owners[place] = max(makers)
        elif place in anchored and kernels[owners[place]].multiplies:
            continue
        if row.macs and place in owners:
            owner = _multiplying(rows, owners, kernels, place)
            owners[place] = owner
            if place not in anchored and kernels[owner].multiplies and owner in _busy(rows, owners, place):
                del owners[place]  # one product does not flow into another
    return owners


def _multiplying(rows: Sequence[Row], owners: dict[int, int], kernels: Sequence[Kernel], place: int) -> int:
    """Find who runs a product: its owner, unless that has another or only lays something out, and beside it is a kernel
    that multiplies and has none."""
    owner = owners[place]
    idle = {i for i, kernel in enumerate(kernels) if kernel.multiplies} - _busy(rows, owners, place)
    if owner in idle:
        return owner
    earlier, later = ({k for other, k in owners.items() if sign * other < sign * place} for sign in (1, -1))
    for beside, passed in (([kernel.reads for kernel in kernels], earlier), (_readers(kernels), later)):
        if found := _around(owner, beside, idle | passed) & idle:
            return min(found)
    return owner


def _busy(rows: Sequence[Row], owners: dict[int, int], place: int) -> set[int]:
    """Find the kernels that have another product than this one."""
    return {kernel for other, kernel in owners.items() if rows[other].macs and other != place}


def _behind(rows: Sequence[Row], own: Iterable[int], owners: dict[int, int]) -> Iterator[int]:
    """Yield the product whose result the steps of a kernel make something of, with what stands between, if that is a
    chain that nobody else has."""
    for place in own:
        chain, at = list[int](), place
        while True:
            before = [source for source in rows[at].reads if source not in owners]
            if len(before) != 1:
                break
            [at] = before
            chain.append(at)
            if rows[at].macs:
                yield from chain
                break


def _readers(kernels: Sequence[Kernel]) -> list[list[int]]:
    """List for each kernel those that read what it gives."""
    found: list[list[int]] = [[] for _ in kernels]
    for i, kernel in enumerate(kernels):
        for source in kernel.reads:
            found[source].append(i)
    return found


def _around(i: int, beside: Sequence[Sequence[int]], owning: Set[int]) -> set[int]:
    """Find the next kernels to one side of one, of those that own rows: others are looked through."""
    seen, left, ends = {i}, [i], set[int]()
    while left:
        for k in beside[left.pop()]:
            if k in owning:
                ends.add(k)
            elif k not in seen:
                seen.add(k)
                left.append(k)
    return ends


def _between(rows: Sequence[Row], owners: dict[int, int], before: set[int], behind: set[int]) -> Iterator[int]:
    """Yield the rows that nobody has between those of some kernels, or the network's input, and those of others."""
    wanted, left = set[int](), [place for place, owner in owners.items() if owner in behind]
    while left:
        for source in rows[left.pop()].reads:
            if source not in owners and source not in wanted:
                wanted.add(source)
                left.append(source)
    reached = {place for place, owner in owners.items() if owner in before}
    for place, row in enumerate(rows):
        if place in wanted and (reached.intersection(row.reads) or not (before or row.reads)):
            reached.add(place)
            yield place


def joined(names: Sequence[str]) -> str:
    """Join names, each without the path that it shares with the first.

    >>> joined(["layer1.0.conv2", "layer1.0.add", "layer1.0.relu2"])
    'layer1.0.conv2 + add + relu2'
    """
    if not names:
        return ""
    around = names[0].rpartition(".")[0]
    return " + ".join([names[0], *(name.removeprefix(f"{around}.") for name in names[1:])])
