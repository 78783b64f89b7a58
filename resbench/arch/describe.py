"""The reading `describe`: a network as its paper's table writes it, equal neighbours folded.

>>> from resbench.arch.catalog import architecture
>>> for line in describe(architecture("resnet20"))[:4]:
...     print(line.name, line.repeat, line.structure)
conv1 1 3x3, 16
bn1 1 BN
relu 1 ReLU
layer1.0-2 3 [3x3, 16; BN; ReLU; 3x3, 16; BN] + x; ReLU
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from resbench.arch.algebra import Add, Aux, Combinator, Concat, Highway, Layer, Mul, Node, Operator, Shape
from resbench.arch.catalog import Architecture
from resbench.arch.cost import Row, cost


class Line(NamedTuple):
    """One block, or ``repeat`` equal ones; ``params`` and ``macs`` are theirs together."""

    name: str
    repeat: int
    structure: str
    output: Shape
    params: int
    macs: int


def brief(node: Node) -> str:
    """A node in the notation of the papers: ``[1x1, 64; BN; ReLU] + x``."""
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


def describe(arch: Architecture) -> list[Line]:
    """One line per block or layer, in running order."""
    rows = cost(arch.body, arch.input, model=arch.name).layers
    lines: list[Line] = []
    previous: Node | None = None
    i = 0
    for path, node in _blocks(arch.body):
        names = path + "."
        begin = i
        while i < len(rows) and (not path or rows[i].name == path or rows[i].name.startswith(names)):
            i += 1
        line = _line(path or arch.name, node, rows[begin:i])
        last = lines[-1] if lines else None
        if last and node == previous and not isinstance(node, Layer) and line.output == last.output:
            first = last.name.partition("-")[0]
            merged = f"{first}-{path.rpartition('.')[2]}"
            line = Line(
                merged, last.repeat + 1, last.structure, line.output, last.params + line.params, last.macs + line.macs
            )
            lines[-1] = line
        elif i > begin:
            lines.append(line)
        previous = node
    return lines


def _line(name: str, node: Node, rows: tuple[Row, ...]) -> Line:
    params, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    return Line(name, 1, brief(node), rows[-1].output if rows else (), params, macs)


def _blocks(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """The nodes that stand at a stage's or a block's level: numbered parts one by one, others whole."""
    if (
        not isinstance(node, Combinator)
        or isinstance(node, Operator)
        or any(_operates(part) for part in _in_place(node))
    ):
        yield path, node
        return
    for name, part in node.parts:
        here = ".".join(step for step in (path, name) if step)
        numbered = isinstance(part, Combinator) and [n for n, _ in part.parts[:1]] == ["0"]
        if name and not numbered:
            yield here, part
        else:
            yield from _blocks(part, here)


def _in_place(node: Combinator) -> list[Node]:
    return [part for name, part in node.parts if not name]


def _operates(node: Node) -> bool:
    """Does an operator stand in place here, so that the parts cannot be told apart by name?"""
    if isinstance(node, Operator):
        return True
    return isinstance(node, Combinator) and any(_operates(part) for part in _in_place(node))
