"""The blocks of a network with equal neighbours folded: what ``describe`` writes and ``draw`` draws.

>>> from resbench.arch.catalog import architecture
>>> [(block.name, block.repeat) for block in blocks(architecture("resnet20"))][3:6]
[('layer1.0-2', 3), ('layer2.0', 1), ('layer2.1-2', 2)]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, Shape
from resbench.arch.catalog import Architecture
from resbench.arch.cost import Row, cost, fold


class Block(NamedTuple):
    """One block or layer, or ``repeat`` equal ones; ``params`` and ``macs`` are theirs together."""

    name: str
    repeat: int
    node: Node
    input: Shape
    output: Shape
    params: int
    macs: int
    first: str
    """The name of the first of them, without the range."""
    aux: bool
    """An auxiliary head: it gives nothing on."""


def blocks(arch: Architecture) -> list[Block]:
    """The blocks in running order; layers stay single. Raises ShapeError where shapes do not fit."""
    cost(arch.body, arch.input, model=arch.name)  # names the place of a misfit
    found: list[Block] = []
    shape: Shape = (1, *arch.input)
    previous: Node | None = None
    for path, node, aux in _walk(arch.body):
        last = found[-1] if found else None
        repeats = node == previous and not isinstance(node, Layer)
        previous = node
        if last and repeats and last.input == shape == last.output:  # the same once more: nothing to count
            each = last.params // last.repeat, last.macs // last.repeat
            found[-1] = _joined(last, path, shape, *each)
            continue
        block, output = _count(path or arch.name, node, shape, aux)
        if last and block and repeats and last.output == block.output:
            found[-1] = _joined(last, path, block.output, block.params, block.macs)
        elif block:
            found.append(block)
        shape = shape if aux else output
    return found


def _count(name: str, node: Node, shape: Shape, aux: bool) -> tuple[Block | None, Shape]:
    """The node as a block (None if it has no row of its own), and the shape behind it."""
    rows: list[Row] = []
    output = fold(node, name, shape, rows.append)
    if not rows:
        return None, output
    params = sum(row.params for row in rows)
    macs = 0 if aux else sum(row.macs for row in rows)
    return Block(name, 1, node, shape, rows[-1].output, params, macs, name, aux), output


def _joined(block: Block, path: str, output: Shape, params: int, macs: int) -> Block:
    name = f"{block.first}-{path.rpartition('.')[2]}"
    return block._replace(
        name=name, repeat=block.repeat + 1, output=output, params=block.params + params, macs=block.macs + macs
    )


def _walk(node: Node, path: str = "", aux: bool = False) -> Iterator[tuple[str, Node, bool]]:
    """The nodes that stand at a stage's or a block's level: numbered parts one by one, others whole."""
    if (
        not isinstance(node, Combinator)
        or isinstance(node, Operator)
        or any(_operates(part) for part in _in_place(node))
    ):
        yield path, node, aux
        return
    for name, part in node.parts:
        here = ".".join(step for step in (path, name) if step)
        numbered = isinstance(part, Combinator) and [n for n, _ in part.parts[:1]] == ["0"]
        side = aux or isinstance(node, Aux)
        if name and not numbered:
            yield here, part, side
        else:
            yield from _walk(part, here, side)


def _in_place(node: Combinator) -> list[Node]:
    return [part for name, part in node.parts if not name]


def _operates(node: Node) -> bool:
    """Does an operator stand in place here, so that the parts cannot be told apart by name?"""
    if isinstance(node, Operator):
        return True
    return isinstance(node, Combinator) and any(_operates(part) for part in _in_place(node))
