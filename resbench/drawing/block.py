"""A node becomes boxes: a sequence runs down, an operator puts its parts side by side and joins them below.

A layer with weights, or a pool, is a bar; BN, activations and their like are strips on the bar that they follow, or,
where a block is pre-activated, on the bar that they precede.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby

from resbench.arch.algebra import Add, Aux, Concat, Highway, Layer, Mul, Node, Operator, Seq, Shape, dotted, walk
from resbench.drawing.bars import Leaf, bar_width, bars, grouped
from resbench.drawing.boxes import Drawing, line
from resbench.drawing.branches import UNSEEN, Opening
from resbench.drawing.forms import alike, span
from resbench.drawing.joins import GAP, aside, barred, joined, named, repeated


class Labels:
    """What is written on the boxes, in the order in which they are drawn, and what is written there instead."""

    def __init__(self, instead: Sequence[str] = ()) -> None:
        self.written: list[str] = []
        self.instead = instead

    def of(self, label: str) -> str:
        self.written.append(label)
        return self.instead[len(self.written) - 1] if self.instead else label


def flow(
    node: Node, path: str, shape: Shape, before: Opening = (), labels: Labels | None = None
) -> tuple[Drawing, Shape]:
    """It draws the node from top to bottom; the shape leaves it."""
    labels = labels or Labels()
    rows: list[list[Leaf] | Drawing] = []
    for layered, run in groupby(_steps(node, path), key=lambda step: isinstance(step[1], Layer)):
        if layered:
            leaves = [
                Leaf(name, x, shape, shape := x.output(shape), labels.of(x.brief))
                for name, x in run
                if isinstance(x, Layer)
            ]
            rows += grouped([leaf for leaf in leaves if not isinstance(leaf.layer, UNSEEN)], before)
        else:
            for steps in alike(run):

                def drawn(name: str, part: Node, said: Labels, x: Shape = shape) -> tuple[Drawing, Shape]:
                    return _combined(part, name, x, before, said)

                if folded := _folded(steps, drawn, labels, stays=shape):
                    rows.append(folded[0])
                    continue
                for name, part in steps:
                    box, shape = _combined(part, name, shape, before, labels)
                    rows.append(box)
    width = max((bar_width(row) for row in rows if isinstance(row, list)), default=0)
    return down([row if isinstance(row, Drawing) else bars(row, width) for row in rows]), shape


def _steps(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Layers and operators come in running order with their names; sequences are opened."""
    steps = walk(node, path, into=lambda name, node: node.parts if isinstance(node, Seq) else ())
    return ((name, part) for name, part in steps if not isinstance(part, Seq))


def down(boxes: Sequence[Drawing], gap: float = GAP) -> Drawing:
    """The boxes stand below each other, axes in line, joined by lines; nothing at all is a line of no length."""
    left = max((box.axis for box in boxes), default=1.0)
    right = max((box.right for box in boxes), default=1.0)
    tops = [*accumulate((box.height + gap for box in boxes), initial=0.0)]
    marks = tuple(line((left, top - gap), (left, top)) for top in tops[1:-1])
    placed = tuple((left - box.axis, top, box) for box, top in zip(boxes, tops, strict=False))
    return Drawing(left + right, max(tops[-1] - gap, 0.0), left, marks, placed)


Draw = Callable[[str, Node, Labels], tuple[Drawing, Shape]]


def _folded(
    steps: Sequence[tuple[str, Node]], draw: Draw, labels: Labels, stays: Shape | None = None
) -> tuple[Drawing, Shape] | None:
    """Nodes of one form that make one shape, or that one, are drawn once; what is written on the last stands beside."""
    if len(steps) == 1:
        return None
    own = [Labels() for _ in steps]
    made, *others = {draw(name, node, said)[1] for (name, node), said in zip(steps, own, strict=True)}
    if others or (stays and made != stays):
        return None
    spans = [labels.of(label) for label in map(span, own[0].written, own[-1].written)]
    return repeated(draw(*steps[0], Labels(spans))[0], len(steps)), made


def _combined(node: Node, path: str, shape: Shape, before: Opening, labels: Labels) -> tuple[Drawing, Shape]:
    if isinstance(node, Aux):
        head, _ = flow(node.parts[0][1], dotted(path, node.parts[0][0]), shape, labels=labels)
        return aside(head), shape
    assert isinstance(node, Operator)
    inner = before if isinstance(node, Add) else ()

    def drawn(name: str, part: Node, said: Labels) -> tuple[Drawing, Shape]:
        return flow(part, dotted(path, name), shape, inner, said)

    if isinstance(node, Concat):
        return _concatenated(node, drawn, labels)
    parts = [drawn(name, part, labels) for name, part in node.parts]
    output = node.combine([made for _, made in parts])
    boxes = [named(node, i, box) for i, (box, _) in enumerate(parts)]
    match node:
        case Add() | Mul():
            return joined(node, boxes), output
        case Highway():
            return barred(node, boxes, "g F(x) + (1 - g) h(x)", main=1), output
        case _:
            return barred(node, boxes, labels.of(node.operation)), output


def _concatenated(node: Concat, draw: Draw, labels: Labels) -> tuple[Drawing, Shape]:
    """Parts of one form side by side are one lane."""
    boxes: list[Drawing] = []
    shapes: list[Shape] = []
    for steps in alike(node.parts):
        if folded := _folded(steps, draw, labels):
            boxes.append(folded[0])
            shapes += [folded[1]] * len(steps)
            continue
        for name, part in steps:
            box, made = draw(name, part, labels)
            boxes.append(box)
            shapes.append(made)
    output = node.combine(shapes)
    return barred(node, boxes, labels.of(f"{node.operation}, {output[1]}")), output
