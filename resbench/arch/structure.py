"""A network is read as blocks with equal neighbours folded: ``describe`` writes them, ``draw`` draws them.

>>> from resbench.arch.catalog import architecture
>>> [(block.name, block.repeat) for block in blocks(architecture("resnet20"))][3:6]
[('layer1.0-2', 3), ('layer2.0', 1), ('layer2.1-2', 2)]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape, dotted, walk
from resbench.arch.catalog import Architecture
from resbench.arch.cost import Row, cost, fold


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


def blocks(arch: Architecture) -> list[Block]:
    """The blocks stand in running order; layers stay single. Raises ShapeError where shapes do not fit."""
    cost(arch.body, arch.input, model=arch.name)  # names the place of a misfit
    found: list[Block] = []
    shape: Shape = (1, *arch.input)
    previous: Node | None = None
    for name, node, aux in _leveled(arch.body):
        rows: list[Row] = []
        output = fold(node, name or arch.name, shape, rows.append)
        if rows:
            params, macs = sum(row.params for row in rows), 0 if aux else sum(row.macs for row in rows)
            block = Block(name or arch.name, 1, node, shape, rows[-1].output, params, macs, name or arch.name, aux)
            if node == previous and not isinstance(node, Layer) and found[-1].output == block.output:
                found[-1] = _joined(found[-1], block)
            else:
                found.append(block)
        previous, shape = node, shape if aux else output
    return found


def _joined(block: Block, again: Block) -> Block:
    return block._replace(
        name=f"{block.first}-{again.name.rpartition('.')[2]}",
        repeat=block.repeat + 1,
        params=block.params + again.params,
        macs=block.macs + again.macs,
    )


def _leveled(node: Node, path: str = "", aux: bool = False) -> Iterator[tuple[str, Node, bool]]:
    """These nodes stand at a stage's or a block's level: numbered parts one by one, others whole.

    Where an operator stands in place, the parts cannot be told apart by name.
    """
    if not isinstance(node, Combinator) or any(isinstance(part, Operator) and not name for name, part in walk(node)):
        yield path, node, aux
        return
    for name, part in node.parts:
        numbered = isinstance(part, Combinator) and [n for n, _ in part.parts[:1]] == ["0"]
        side = aux or isinstance(node, Aux)
        if name and not numbered:
            yield dotted(path, name), part, side
        else:
            yield from _leveled(part, dotted(path, name), side)
