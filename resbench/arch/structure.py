"""A network is read as blocks with equal neighbours folded: ``describe`` writes them, ``draw`` draws them.

>>> from resbench.arch.catalog import architecture
>>> [(block.name, block.repeat) for block in blocks(architecture("resnet20"))][3:6]
[('layer1.0-2', 3), ('layer2.0', 1), ('layer2.1-2', 2)]
>>> for line in describe(architecture("resnet20"))[:4]:
...     print(line.name, line.repeat, line.structure)
conv1 1 3x3, 16
bn1 1 BN
relu 1 ReLU
layer1.0-2 3 [3x3, 16; BN; ReLU; 3x3, 16; BN] + x; ReLU
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from resbench.arch.algebra import (
    Add,
    Aux,
    Combinator,
    Concat,
    Highway,
    Layer,
    Mul,
    Node,
    Operator,
    Seq,
    Shape,
    dotted,
    walk,
)
from resbench.arch.catalog import Architecture
from resbench.arch.cost import Stream, cost, fold
from resbench.arch.rows import Row


class Block(NamedTuple):
    """It is one block or layer, or ``repeat`` equal ones; ``params`` and ``macs`` are theirs together."""

    name: str
    repeat: int
    node: Node
    input: Shape
    output: Shape
    params: int
    macs: int
    first: str
    """The first of them has this name, without the range."""
    aux: bool
    """An auxiliary head gives nothing on."""
    path: str
    """What its layers are called begins so."""


def blocks(arch: Architecture) -> list[Block]:
    """The blocks stand in running order; layers stay single. Raises ShapeError where shapes do not fit."""
    cost(arch.body, arch.input, model=arch.name)  # names the place of a misfit
    found: list[Block] = []
    shape: Shape = (1, *arch.input)
    previous: Node | None = None
    for name, node, aux in _leveled(arch.body):
        rows: list[Row] = []
        output = fold(node, name or arch.name, Stream(shape), rows).shape
        if rows:
            params, macs = sum(row.params for row in rows), 0 if aux else sum(row.macs for row in rows)
            if node == previous and not isinstance(node, Layer) and found[-1].output == rows[-1].output:
                equal = found[-1]
                found[-1] = equal._replace(
                    name=f"{equal.first}-{name.rpartition('.')[2]}",
                    repeat=equal.repeat + 1,
                    params=equal.params + params,
                    macs=equal.macs + macs,
                )
            else:
                label = name or arch.name
                found.append(Block(label, 1, node, shape, rows[-1].output, params, macs, label, aux, label))
        previous, shape = node, shape if aux else output
    return list(_paired(found))


def _paired(found: Sequence[Block]) -> Iterator[Block]:
    """Two blocks of a level that take turns are one, repeated."""
    i = 0
    while i < len(found):
        turns = 1
        while _same(found[i : i + 2], found[i + 2 * turns : i + 2 * turns + 2]):
            turns += 1
        if turns == 1:
            yield found[i]
            i += 1
            continue
        run = found[i : i + 2 * turns]
        (one, other), level = run[:2], run[0].first.rpartition(".")[0]
        names = [block.first.rpartition(".")[2] for block in run]
        yield one._replace(
            name=f"{one.first}-{names[-1]}",
            repeat=turns,
            node=Seq(**{names[0]: one.node, names[1]: other.node}),
            output=run[-1].output,
            params=sum(block.params for block in run),
            macs=sum(block.macs for block in run),
            path=level,
        )
        i += len(run)


def _same(pair: Sequence[Block], other: Sequence[Block]) -> bool:
    """Tell whether two pairs of blocks that are not repeated do the same at the same level."""

    def kinds(blocks: Sequence[Block]) -> list[tuple[object, ...]]:
        return [(b.node, b.input, b.output, b.repeat, b.first.rpartition(".")[0]) for b in blocks]

    alone = len(pair) == 2 and all(b.repeat == 1 and not b.aux and isinstance(b.node, Combinator) for b in pair)
    return alone and "." in pair[0].first and kinds(pair) == kinds(other)


def _leveled(node: Node, path: str = "", aux: bool = False) -> Iterator[tuple[str, Node, bool]]:
    """These nodes stand at a stage's or a block's level: the parts of stages one by one, others whole.

    Where an operator stands in place, the parts cannot be told apart by name.
    """
    if not isinstance(node, Combinator) or any(isinstance(part, Operator) and not name for name, part in walk(node)):
        yield path, node, aux
        return
    for name, part in node.parts:
        side = aux or isinstance(node, Aux)
        if name and not _is_stage(part):
            yield dotted(path, name), part, side
        else:
            yield from _leveled(part, dotted(path, name), side)


def _is_stage(node: Node) -> bool:
    """A stage has numbered parts, several parts in which paths meet, or a stage behind what opens it: it is a sequence
    of blocks.

    Numbered layers are no more than a block where they hold one convolution, or one fully connected layer.
    """
    if not isinstance(node, Seq):
        return False
    levels = [part for name, part in node.parts if name and isinstance(part, Combinator)]
    joined = sum(any(isinstance(inner, Operator) for _, inner in walk(level)) for level in levels)
    numbered = [name for name, _ in node.parts[:1]] == ["0"]
    weighted = sum(part.kind in ("convolution", "linear") for part in node)
    return (numbered and (bool(levels) or weighted > 1)) or joined > 1 or (joined == 1 and any(map(_is_stage, levels)))


class DescribedBlock(NamedTuple):
    """It is one block, or ``repeat`` equal ones; ``params`` and ``macs`` are theirs together."""

    name: str
    repeat: int
    structure: str
    output: Shape
    params: int
    macs: int


def brief(node: Node) -> str:
    """The papers write a node like this: ``[1x1, 64; BN; ReLU] + x``."""
    if isinstance(node, Layer):
        return node.brief
    parts = [brief(part) for part in node]  # type: ignore[attr-defined]
    match node:
        case Add():
            return " + ".join([f"[{parts[0]}]", *(p if p == "x" else f"[{p}]" for p in parts[1:])])
        case Mul():
            return " * ".join(p if p == "x" else f"[{p}]" for p in parts)
        case Concat():
            return f"({' | '.join(parts)})"
        case Highway():
            gate, branch, shortcut = parts
            return f"g [{branch}] + (1 - g) {shortcut if shortcut == 'x' else f'[{shortcut}]'}, g = [{gate}]"
        case Aux():
            return f"in training: {parts[0]}"
        case _:
            return "; ".join(p for p in parts if p)


def describe(arch: Architecture) -> list[DescribedBlock]:
    """The blocks and single layers stand in running order, each with its structure."""
    return [
        DescribedBlock(block.name, block.repeat, brief(block.node), block.output, block.params, block.macs)
        for block in blocks(arch)
    ]
