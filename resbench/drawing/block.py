"""A node becomes boxes: a sequence runs down, an operator puts its parts side by side and joins them below.

A layer with weights, or a pool, is a bar; BN, activations and their like are strips on the bar that they follow, or,
where a block is pre-activated, on the bar that they precede.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from itertools import accumulate, groupby, takewhile
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
    Part,
    Seq,
    Shape,
    dotted,
    walk,
)
from resbench.arch.channels import PadChannels
from resbench.arch.kinds import Kind
from resbench.arch.layers import Flatten, Identity
from resbench.drawing.boxes import TINTS, Circle, Drawing, Mark, Path, Rect, Text, arrow, line, text_width
from resbench.drawing.forms import alike, span
from resbench.units import shape_text

STRIPS: Set[Kind] = frozenset(("normalisation", "activation", "function", "scaling", "dropout"))
"""Layers of these kinds go with another one."""

UNSEEN = (Identity, Flatten)
"""No box is drawn of these: they give on what comes in, all of it."""

WEIGHTED: Set[Kind] = frozenset(("convolution", "linear"))

Opening = tuple[type[Node], ...]
"""These kinds of layer stand before the convolutions of a pre-activated block."""

BAR, STRIP = 18, 13
"""A layer with weights is so high, and those that go with it."""
NARROW = 56
"""No bar is less wide, so that equal blocks of different widths look alike."""
GAP = 8
"""What follows each other stands so far apart."""
SPLIT = 14
"""The parts of an operator stand so far below its top."""
LANE = 16
"""Parts side by side stand so far apart."""
RADIUS = 8
"""The sign where paths meet has this radius."""


class Labels:
    """What is written on the boxes, in the order in which they are drawn, and what is written there instead."""

    def __init__(self, instead: Sequence[str] = ()) -> None:
        self.written: list[str] = []
        self.instead = instead

    def of(self, label: str) -> str:
        self.written.append(label)
        return self.instead[len(self.written) - 1] if self.instead else label


class Leaf(NamedTuple):
    """A leaf is a layer with its name and what it makes of its input."""

    path: str
    layer: Layer
    input: Shape
    output: Shape
    instead: str = ""
    """This is written on it instead of what the layer says of itself."""

    @property
    def label(self) -> str:
        return self.instead or self.layer.brief

    @property
    def hint(self) -> str:
        cost = f"{self.layer.params:,} params, {self.layer.macs(self.output):,} MACs"
        return f"{self.path}: {self.layer!r}, {shape_text(self.output)}, {cost}"

    @property
    def is_strip(self) -> bool:
        return self.layer.kind in STRIPS


def opening(node: Node) -> Opening:
    """These layers of a branch stand before its first convolution; there are none unless it is pre-activated."""
    parts = list(_parts(node))
    strips = list(takewhile(lambda part: part.kind in STRIPS, parts))
    rest = parts[len(strips) :]
    return tuple(map(type, strips)) if rest and (rest[0].kind in WEIGHTED or isinstance(rest[0], Operator)) else ()


def _parts(node: Node) -> Iterator[Node]:
    """Layers and operators follow each other, down the first part of a sum."""

    def into(name: str, node: Combinator) -> Sequence[Part]:
        return node.parts[:1] if isinstance(node, Add) else () if isinstance(node, Operator) else node.parts

    for _, part in walk(node, into=into):
        if not isinstance(part, (*UNSEEN, Add, Seq, Aux)):
            yield part


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


# -- layers -----------------------------------------------------------------------------------------------


def grouped(leaves: Sequence[Leaf], before: Opening = ()) -> list[list[Leaf]]:
    """Each layer with weights, and each pool, comes with the strips that go with it."""
    head = tuple(type(leaf.layer) for leaf in leaves[: next((i for i, x in enumerate(leaves) if not x.is_strip), 0)])
    before = head or before
    groups: list[list[Leaf]] = []
    current: list[Leaf] = []
    for leaf in leaves:
        if not leaf.is_strip and current:
            cut = len(current)
            if leaf.layer.kind in WEIGHTED and tuple(type(x.layer) for x in current[-len(before) :]) == before:
                cut -= len(before)
            groups.append(current[:cut])
            current = current[cut:]
        current.append(leaf)
    return [group for group in (*groups, current) if group]


def bar_width(leaves: Sequence[Leaf]) -> float:
    """A bar with its strips needs this width; strips alone ask for nothing."""
    if all(leaf.is_strip for leaf in leaves):
        return 0
    return max(NARROW, *(sum(_room(leaf) for leaf in row) for row in _rows(leaves)))


def _rows(leaves: Sequence[Leaf]) -> list[list[Leaf]]:
    """Strips that follow each other share a row."""
    return [list(row) for _, row in groupby(leaves, key=lambda leaf: leaf.is_strip)]


def _room(leaf: Leaf) -> float:
    return text_width(leaf.label, "strip" if leaf.is_strip else "label") + (6 if leaf.is_strip else 10)


def bars(leaves: Sequence[Leaf], width: float = 0) -> Drawing:
    """A bar and its strips have one width; strips alone are as wide as they need."""
    rows = _rows(leaves)
    if all(leaf.is_strip for leaf in leaves):
        width = max(sum(_room(leaf) for leaf in row) for row in rows)
    marks: list[Rect | Text] = []
    y = 0.0
    for row in rows:
        height, font, base = (STRIP, "strip", 9.5) if row[0].is_strip else (BAR, "label", 13)
        spare = (width - sum(_room(leaf) for leaf in row)) / len(row)
        x = 0.0
        for leaf in row:
            room = _room(leaf) + spare
            marks += [
                Rect(x, y, room, height, TINTS.get(leaf.layer.kind, "other"), leaf.hint),
                Text(x + room / 2, y + base, leaf.label, font, "middle"),
            ]
            x += room
        y += height
    return Drawing(width, y, width / 2, tuple(marks))


# -- operators --------------------------------------------------------------------------------------------


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


def repeated(box: Drawing, times: int) -> Drawing:
    """The box stands in a frame that says how often it follows itself."""
    text = f"× {times}"
    axis, right = box.axis + GAP, max(box.right + GAP, text_width(text, "name") + GAP + 4)
    top = 18.0
    height = top + box.height + GAP
    marks: tuple[Mark, ...] = (
        *(Rect(d, d, axis + right, height, "copy", radius=4) for d in (4, 2)),
        Rect(0, 0, axis + right, height, "block", radius=4),
        Text(axis + right - 5, 13, text, "name", "end"),
        line((axis, 0), (axis, top)),
        line((axis, top + box.height), (axis, height)),
    )
    return Drawing(axis + right + 4, height + 4, axis, marks, ((GAP, top, box),))


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
    boxes = [_named(node, i, box) for i, (box, _) in enumerate(parts)]
    match node:
        case Add() | Mul():
            return _joined(node, boxes), output
        case Highway():
            return _barred(node, boxes, "g F(x) + (1 - g) h(x)", main=1), output
        case _:
            return _barred(node, boxes, labels.of(node.operation)), output


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
    return _barred(node, boxes, labels.of(f"{node.operation}, {output[1]}")), output


def carries(node: Node) -> str:
    """A shortcut does this to x: identity, projection, padding, or what its layers do."""
    parts = list(_parts(node.parts[0][1] if isinstance(node, Mul) else node))
    kinds = [part.kind for part in parts if isinstance(part, Layer)]
    if "convolution" in kinds:
        return "projection"
    if any(isinstance(part, PadChannels) for part in parts):
        return "padding"
    if isinstance(node, Mul):
        return "gated"
    return (kinds[0] if kinds[0] in ("scaling", "dropout") else "path") if kinds else "identity"


def _named(node: Operator, position: int, box: Drawing) -> Drawing:
    """The box of an operand stands under its name, where its layers do not say it."""
    if isinstance(node, Highway) and position == 0:
        return captioned(box, "gate g")
    shortcut = position > 0 if isinstance(node, Add) else position == 2 and isinstance(node, Highway)
    return captioned(box, "projection") if shortcut and carries(node.parts[position][1]) == "projection" else box


def _style(node: Node) -> str:
    return "dashed" if carries(node) in ("projection", "padding") else "line"


def captioned(box: Drawing, caption: str) -> Drawing:
    """The box stands under a word or two that say what it is."""
    width = text_width(caption, "word")
    left, right = max(box.axis, width / 2), max(box.right, width / 2)
    return Drawing(
        left + right,
        box.height + 12,
        left,
        marks=(Text(left, 9, caption, "word", "middle"),),
        children=((left - box.axis, 12, box),),
    )


def _joined(node: Operator, boxes: Sequence[Drawing]) -> Drawing:
    """The first part stands on the axis, the others to the right, the sign below: the residual sum, a gate."""
    main, *sides = boxes
    deep = max(box.height for box in boxes)
    centre = SPLIT + deep + GAP + RADIUS
    axis, x = main.axis, main.width
    marks: list[Path | Text | Circle] = [
        line((axis, 0), (axis, SPLIT)),
        line((axis, SPLIT + main.height), (axis, centre - RADIUS)),
    ]
    placed = [(0.0, float(SPLIT), main)]
    for box, (_, part) in zip(sides, node.parts[1:], strict=True):
        lane = x + LANE + box.axis
        what = carries(part) if isinstance(node, Add) else ""
        top = SPLIT + (deep - box.height) / 2
        ways: tuple[tuple[tuple[float, float], ...], ...] = (
            ((axis, SPLIT / 2), (lane, SPLIT / 2), (lane, top)),
            ((lane, top + box.height), (lane, centre), (axis + RADIUS, centre)),
        )
        if box.children:
            placed.append((lane - box.axis, top, box))
            x = lane + box.right
        else:
            ways = ((*ways[0][:2], *ways[1][1:]),)
            marks.append(Text(lane + 4, SPLIT + deep / 2 + 3, "identity", "word"))
            x = lane + 4 + text_width("identity", "word")
        marks.append(Path(ways, _style(part) if what else "line", True, what))
    marks += _sign(axis, centre, "×" if isinstance(node, Mul) else "+")
    return Drawing(x, centre + RADIUS, axis, tuple(marks), tuple(placed))


def _sign(x: float, y: float, kind: str) -> list[Path | Circle]:
    """A circle with + or × is drawn, not written: no font need have it."""
    strokes = ((4.0, 0.0), (0.0, 4.0)) if kind == "+" else ((2.8, 2.8), (2.8, -2.8))
    return [Circle(x, y, RADIUS, "join"), Path(tuple(((x - a, y - b), (x + a, y + b)) for a, b in strokes))]


def _barred(node: Operator, boxes: Sequence[Drawing], label: str, main: int | None = None) -> Drawing:
    """Parts stand side by side under a split and are joined in a bar: concatenation, the highway's mixture."""
    deep = max(box.height for box in boxes)
    bar = SPLIT + deep + SPLIT
    axes: list[float] = []
    placed: list[tuple[float, float, Drawing]] = []
    marks: list[Path | Text | Rect] = []
    x = 0.0
    for box in boxes:
        if box.children:
            axes.append(x + box.axis)
            placed.append((x, float(SPLIT), box))
            x += box.width + LANE / 2
        else:
            axes.append(x + 8 + box.axis)
            marks.append(Text(axes[-1] + 4, SPLIT + deep / 2 + 3, "identity", "word"))
            x = axes[-1] + 4 + text_width("identity", "word") + LANE / 2
    width = max(x - LANE / 2, text_width(label, "label") + 12)
    axis = width / 2 if main is None else axes[main]
    for i, (lane, box) in enumerate(zip(axes, boxes, strict=True)):
        part = node.parts[i][1]  # of a concatenation, whose lanes may stand for several, it is not asked
        shortcut = isinstance(node, Highway) and i == 2
        style = _style(part) if shortcut else "line"
        into = ((axis, SPLIT / 2), (lane, SPLIT / 2), (lane, SPLIT)) if lane != axis else ((axis, 0), (axis, SPLIT))
        ways = (into, ((lane, SPLIT + box.height), (lane, bar)))
        marks.append(Path(ways, style, True, carries(part) if shortcut else ""))
    marks += [
        line((axis, 0), (axis, SPLIT / 2)),
        Rect(0, bar, width, BAR - 2, "join"),
        Text(width / 2, bar + 12, label, "label", "middle"),
    ]
    return Drawing(width, bar + BAR - 2, axis, tuple(marks), tuple(placed))


def aside(head: Drawing) -> Drawing:
    """The head stands to the right of a line that goes on."""
    marks = (line((1, 0), (1, head.height + SPLIT)), arrow((1, 6), (LANE + head.axis, 6), (LANE + head.axis, SPLIT)))
    return Drawing(LANE + head.width, head.height + SPLIT, 1, marks, ((LANE, SPLIT, head),))
