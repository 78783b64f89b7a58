"""`describe` reads a network as its paper's table writes it, equal neighbours folded.

>>> from resbench.arch.catalog import architecture
>>> for line in describe(architecture("resnet20"))[:4]:
...     print(line.name, line.repeat, line.structure)
conv1 1 3x3, 16
bn1 1 BN
relu 1 ReLU
layer1.0-2 3 [3x3, 16; BN; ReLU; 3x3, 16; BN] + x; ReLU
"""

from __future__ import annotations

from typing import NamedTuple

from resbench.arch.algebra import Add, Aux, Concat, Highway, Layer, Mul, Node, Shape
from resbench.arch.catalog import Architecture
from resbench.arch.structure import blocks


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
