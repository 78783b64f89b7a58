"""A network without an expression is drawn as its module tree: a row for each module, equal neighbours folded.

>>> from resbench.arch.cost import Cost, Row
>>> row = Row("", "Conv2d", (1, 8, 4, 4), 80, 1280, 0, 128)
>>> net = Cost("mine", "file", (1, 8, 4, 4), tuple(row._replace(name=f"stage.{i}.conv") for i in range(3)))
>>> [(line.name, line.repeat) for line in lines(net)]
[('mine', 1), ('stage', 1), ('0-2', 3), ('conv', 1)]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from resbench.arch.kinds import Kind
from resbench.arch.rows import Cost, Row
from resbench.drawing.boxes import TINTS, Drawing, Mark, Rect, Text, shorten, svg, text_width
from resbench.drawing.sheet import cost_text
from resbench.units import calls_text, count_text, plural, shape_text

MOST = 240
"""A picture has at most so many rows: a larger tree is drawn without its deepest levels."""

COLUMN = 60
"""A column has at least so many rows."""

HEIGHT, INDENT, GUTTER = 15, 12, 26
NAME, COST = 190, 92
"""A name takes so many pixels, and params / MACs."""


@dataclass
class _Module:
    """A module has its own layers and what is below it; ``rows`` are all of them, in running order."""

    name: str
    rows: list[Row] = field(default_factory=list)
    below: dict[str, "_Module"] = field(default_factory=dict)

    def same(self) -> object:
        """It is equal for modules that look alike but for their names."""
        return (
            [(row.type, row.output, row.params, row.macs) for row in self.rows],
            [(name, module.same()) for name, module in self.below.items()],
        )


class TreeRow(NamedTuple):
    """A row shows a module, or ``repeat`` equal neighbours; the figures are theirs together."""

    depth: int
    name: str
    repeat: int
    type: str
    """It is empty for a module with others below it."""
    kind: Kind | None
    output: str
    params: int
    macs: int


def draw_tree(cost: Cost) -> str:
    """It draws the modules by their dotted names, with type, shape, cost and share of the MACs."""
    every = list(lines(cost))
    deepest = max(line.depth for line in every)
    depth = next((d for d in range(deepest, 0, -1) if sum(line.depth <= d for line in every) <= MOST), 1)
    shown = [line for line in every if line.depth <= depth]
    left_out = f"; {len(every) - len(shown)} deeper modules are in their parents" if len(shown) < len(every) else ""
    if len(shown) > MOST:
        left_out, shown = f"; {plural(len(every) - MOST, 'module')} more", shown[:MOST]
    if cost.uncounted:
        left_out += f"; not counted: {calls_text(dict(cost.uncounted))}: MACs are too low, and no share is shown"
    facts = f"input {shape_text(cost.input)} · {count_text(cost.params)} params · {count_text(cost.macs)} MACs"
    head: tuple[Mark, ...] = (
        Text(0, 16, cost.model, "title"),
        Text(
            0,
            32,
            f"{facts} · {cost.source}{left_out}. Module, type, output, params / MACs, share of the MACs.",
            "small",
        ),
    )
    body = _columns(shown, 0 if cost.uncounted else cost.macs)
    width = max(body.width, *(text_width(mark.text, mark.font) for mark in head if isinstance(mark, Text)))
    page = Drawing(width, 44 + body.height, 0, head, ((0, 44, body),))
    return svg([page], f"Module tree of {cost.model}", f"{cost.model}: {facts}, {plural(len(every), 'module')}.")


def lines(cost: Cost) -> Iterator[TreeRow]:
    """The rows come from above, depth first."""
    root = _Module(cost.model)
    for row in cost.layers:
        module = root
        module.rows.append(row)
        for part in row.name.split("."):
            module = module.below.setdefault(part, _Module(part))
            module.rows.append(row)
    yield from _lines([root], 0)


def _lines(modules: Sequence[_Module], depth: int) -> Iterator[TreeRow]:
    for _, run in groupby(modules, key=_Module.same):
        same = list(run)
        first, rows = same[0], [row for module in same for row in module.rows]
        name = first.name if len(same) == 1 else f"{first.name}-{same[-1].name}"
        word, kind = (first.rows[-1].type, first.rows[-1].kind) if rows and not first.below else ("", None)
        output = shape_text(rows[-1].output) if rows and rows[-1].output else ""
        figures = sum(row.params for row in rows), sum(row.macs for row in rows)
        yield TreeRow(depth, name, len(same), word, kind, output, *figures)
        yield from _lines(list(first.below.values()), depth + 1)


def _columns(shown: Sequence[TreeRow], whole: int) -> Drawing:
    """There are as many columns as make the page about as wide as high. Shares are of ``whole``; 0 shows none."""
    length = max(COLUMN, -(-len(shown) // 3))
    columns = [_column(shown[i : i + length], whole) for i in range(0, len(shown), length)]
    starts = [*accumulate((column.width + GUTTER for column in columns), initial=0.0)]
    placed = tuple((x, 0.0, column) for x, column in zip(starts, columns, strict=False))
    return Drawing(starts[-1] - GUTTER, max(column.height for column in columns), 0, (), placed)


def _column(rows: Sequence[TreeRow], whole: int) -> Drawing:
    kind = max(text_width(line.type, "small") for line in rows) + 10
    output = max(text_width(line.output, "small") for line in rows) + 10
    inner = NAME + kind + output + COST
    marks: list[Mark] = []
    for i, line in enumerate(rows):
        x, y = line.depth * INDENT, i * HEIGHT
        tint = TINTS.get(line.kind, "other") if line.type else "band"
        times = f" × {line.repeat}" if line.repeat > 1 else ""
        font = "small" if line.type else "name"
        room = NAME - x - 14 - text_width(times, font)
        marks += [
            Rect(min(x, NAME - 40), y + 3, 9, 9, tint, f"{line.name}: {line.params:,} params, {line.macs:,} MACs"),
            Text(min(x, NAME - 40) + 13, y + 11, shorten(line.name, font, max(room, 24)) + times, font),
            Text(NAME + 6, y + 11, line.type, "small"),
            Text(NAME + kind, y + 11, line.output, "small"),
            Text(inner - 4, y + 11, cost_text(line.params, line.macs), "small", "end"),
        ]
        if line.macs and whole:
            marks += [
                Rect(inner, y + 6, 50, 3, "track", radius=0),
                Rect(inner, y + 6, 50 * line.macs / whole, 3, "share", radius=0),
            ]
    return Drawing(inner + 50, len(rows) * HEIGHT, 0, tuple(marks))
