"""Boxes side by side become one: under a split, joined below by a sign or in a bar, or in a frame that repeats."""

from collections.abc import Sequence

from resbench.arch.algebra import Add, Highway, Mul, Node, Operator
from resbench.drawing.bars import BAR
from resbench.drawing.boxes import Circle, Drawing, Mark, Path, Rect, Text, arrow, line, text_width
from resbench.drawing.branches import carries

GAP = 8
"""What follows each other stands so far apart."""
SPLIT = 14
"""The parts of an operator stand so far below its top."""
LANE = 16
"""Parts side by side stand so far apart."""
RADIUS = 8
"""The sign where paths meet has this radius."""


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


def named(node: Operator, position: int, box: Drawing) -> Drawing:
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


def joined(node: Operator, boxes: Sequence[Drawing]) -> Drawing:
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


def barred(node: Operator, boxes: Sequence[Drawing], label: str, main: int | None = None) -> Drawing:
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
