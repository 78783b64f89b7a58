"""The page on which a network is drawn has bands in columns, a heading above and a legend below."""

from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple

from resbench.arch.algebra import Shape
from resbench.drawing.boxes import Drawing, Mark, Path, Rect, Text, arrow, line, text_width
from resbench.units import count_text, shape_text

PAD = 8
"""A frame is so far from what it holds."""
EDGE, LABELLED = 14, 24
"""An arrow is so long without and with a shape beside it."""
ENTRY = 26
"""The line that comes from the last column has this room above a column's first band."""
EXIT = 12
"""It has this room below a column's last band."""
GUTTER = 26
"""Columns stand so far apart."""
ASPECT = 1.45
"""Columns aim at this width over height: a page on its side, a README."""
WIDE = 1000
"""Beyond so many pixels letters become too small on a page that shows 900."""
BAND_HEAD = 42
"""The name, cost and share of a band take this height."""


class Item(NamedTuple):
    """An item stands in a band, between the shapes above and below it."""

    box: Drawing
    input: Shape
    output: Shape


class Band(NamedTuple):
    """A band is a stage."""

    name: str
    items: tuple[Item, ...]
    params: int
    macs: int


class Panel(NamedTuple):
    """A panel is a network, drawn but not placed."""

    name: str
    facts: str
    macs: int
    bands: tuple[Band, ...]


class Extent(NamedTuple):
    """A column has this room at both sides of its axis."""

    left: float
    right: float


def cost_text(params: int, macs: int) -> str:
    """A cost reads ``70.4k / 218M``; it is empty where there is neither."""
    return f"{count_text(params)} / {count_text(macs)}" if params or macs else ""


def layout(panels: Sequence[Panel]) -> list[Drawing]:
    """The legend stands below the panels. Panels of as many bands share their columns."""
    stacks = [[_stacked(band) for band in panel.bands] for panel in panels]
    alike = len({len(panel.bands) for panel in panels}) == 1
    cuts = (
        [_cuts(panels[0], stacks[0])] * len(panels)
        if alike
        else [_cuts(panel, stack) for panel, stack in zip(panels, stacks, strict=True)]
    )
    extents = [_extents(panel, stack, cut) for panel, stack, cut in zip(panels, stacks, cuts, strict=True)]
    if alike:
        shared = [Extent(max(e.left for e in same), max(e.right for e in same)) for same in zip(*extents, strict=True)]
        extents = [shared] * len(panels)
    boxes = [_panel(*given) for given in zip(panels, stacks, cuts, extents, strict=True)]
    return [*boxes, *legend(boxes)]


# -- bands --------------------------------------------------------------------------------------------------


def _stacked(band: Band) -> Drawing:
    """The items of a band stand below each other; an arrow leads into each, with the shape where it changed."""
    left = max(item.box.axis for item in band.items)
    right = max(item.box.right for item in band.items)
    y = 0.0
    marks: list[Mark] = []
    placed: list[tuple[float, float, Drawing]] = []
    for above, item in zip((None, *band.items), band.items, strict=False):
        label = shape_text(item.input) if above and above.input != item.input else ""
        length = LABELLED if label else EDGE
        marks += _edge(left, y, length, label)
        right = max(right, 6 + text_width(label, "small"))
        placed.append((left - item.box.axis, y + length, item.box))
        y += length + item.box.height
    return Drawing(left + right, y, left, tuple(marks), tuple(placed))


def _edge(x: float, y: float, length: float, label: str) -> list[Mark]:
    mark: list[Mark] = [arrow((x, y), (x, y + length))]
    return [*mark, Text(x + 6, y + length / 2 + 3, label, "small")] if label else mark


def _framed(band: Band, inner: Drawing, extent: Extent, whole: int) -> Drawing:
    """The band stands under its name and totals, with a bar for its share of the MACs."""
    if not band.name:
        return inner
    width, bottom = extent.left + extent.right, BAND_HEAD + inner.height + PAD
    share = band.macs / whole if whole else 0.0
    marks: tuple[Mark, ...] = (
        Rect(0, 0, width, bottom, "band", radius=6),
        Text(PAD, 16, band.name, "heading"),
        Text(PAD, 29, _totals(band, whole), "small"),
        Rect(PAD, 34, width - 2 * PAD, 3, "track", radius=0),
        *([Rect(PAD, 34, share * (width - 2 * PAD), 3, "share", radius=0)] if share else []),
        line((extent.left, BAND_HEAD), (extent.left, BAND_HEAD + 1)),
        line((extent.left, BAND_HEAD + inner.height), (extent.left, bottom)),
    )
    return Drawing(width, bottom, extent.left, marks, ((extent.left - inner.axis, BAND_HEAD, inner),))


def _totals(band: Band, whole: int) -> str:
    share = f" · {100 * band.macs / whole:.3g} %" if whole and band.macs else ""
    return f"{count_text(band.params)} / {count_text(band.macs)}{share}"


def _need(band: Band, whole: int) -> float:
    if not band.name:
        return 0
    return max(text_width(band.name, "heading"), text_width(_totals(band, whole), "small")) + 2 * PAD


# -- columns ------------------------------------------------------------------------------------------------


def _cuts(panel: Panel, stack: Sequence[Drawing]) -> list[range]:
    """Each column has these bands: columns are as even as can be, and as many as come nearest to ASPECT."""
    heights = [box.height + BAND_HEAD + PAD + LABELLED for box in stack]

    def strain(cut: Sequence[range]) -> float:
        width = sum(e.left + e.right + GUTTER for e in _extents(panel, stack, cut)) - GUTTER
        height = max(sum(heights[i] for i in column) for column in cut)
        return abs(log(width / height / ASPECT)) + 3 * max(0.0, width / WIDE - 1)

    return min((_even(heights, n) for n in range(1, len(stack) + 1)), key=strain, default=[range(0)])


def _even(heights: Sequence[float], count: int) -> list[range]:
    """There are at most ``count`` runs, and the highest is as low as it can be."""
    low, high = max(heights), sum(heights)
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_filled(heights, middle)) <= count else (middle, high)
    return _filled(heights, high)


def _filled(heights: Sequence[float], limit: float) -> list[range]:
    runs: list[range] = []
    start, room = 0, limit
    for i, height in enumerate(heights):
        if height > room and i > start:
            runs.append(range(start, i))
            start, room = i, limit
        room -= height
    return [*runs, range(start, len(heights))]


def _extents(panel: Panel, stack: Sequence[Drawing], cut: Sequence[range]) -> list[Extent]:
    extents = []
    for column in cut:
        left = max((stack[i].axis for i in column), default=0) + PAD
        right = max((stack[i].right for i in column), default=0) + PAD
        spare = max((_need(panel.bands[i], panel.macs) for i in column), default=0) - left - right
        extents.append(Extent(left + max(0, spare) / 2, right + max(0, spare) / 2))
    return extents


def _panel(panel: Panel, stack: Sequence[Drawing], cut: Sequence[range], extents: Sequence[Extent]) -> Drawing:
    """A panel has a heading, columns, and a line that leads from each column to the next."""
    top = 44.0
    marks: list[Mark] = [Text(0, 16, panel.name, "title"), Text(0, 32, panel.facts, "small")]
    placed: list[tuple[float, float, Drawing]] = []
    x, bottom = 0.0, top
    out: tuple[float, float] | None = None
    for column, extent in zip(cut, extents, strict=True):
        axis = x + extent.left
        y = top + ENTRY
        if out:
            gutter = x - GUTTER / 2
            low, high = out[1] + EXIT - 4, top + 4
            marks.append(arrow(out, (out[0], low), (gutter, low), (gutter, high), (axis, high), (axis, y)))
        else:
            marks.append(arrow((axis, top), (axis, y)))
        for i in column:
            band = panel.bands[i]
            label = _label(panel, i)
            if i > column.start:
                marks += _edge(axis, y, LABELLED, label)
                y += LABELLED
            elif label:
                marks.append(Text(axis + 6, y - 9, label, "small"))
            box = _framed(band, stack[i], extent, panel.macs)
            placed.append((axis - box.axis, y, box))
            y += box.height
        out = (axis, y)
        bottom = max(bottom, y + EXIT)
        x += extent.left + extent.right + GUTTER
    if out and panel.bands:
        marks += _edge(*out, LABELLED, shape_text(panel.bands[-1].items[-1].output))
        bottom = max(bottom, out[1] + LABELLED)
    width = max(x - GUTTER, *(text_width(mark.text, mark.font) for mark in marks[:2] if isinstance(mark, Text)))
    return Drawing(width, bottom, 0, tuple(marks), tuple(placed))


def _label(panel: Panel, i: int) -> str:
    """This shape enters a band: the network's input, or what the band before made anew."""
    shape = panel.bands[i].items[0].input
    return shape_text(shape) if i == 0 or panel.bands[i - 1].items[-1].input != shape else ""


# -- legend -------------------------------------------------------------------------------------------------

WORDS = {
    "conv": "convolution",
    "fc": "fully connected",
    "pool": "pooling",
    "norm": "normalisation",
    "act": "activation",
    "other": "other",
    "line": "identity",
    "dashed": "projection or padding",
    "share": "share of MACs",
}


def legend(boxes: Sequence[Drawing]) -> list[Drawing]:
    """The legend says what the tints and lines stand for, as far as they occur; numbers are params / MACs."""
    seen = {style for box in boxes for style in _styles(box)}
    width = max((box.width for box in boxes), default=0)
    marks: list[Mark] = [Text(0, 10, "params / MACs", "small")]
    x, y = text_width("params / MACs", "small") + 18, 0.0
    for style, word in ((style, word) for style, word in WORDS.items() if style in seen):
        room = 20 + text_width(word, "small") + 16
        if x + room > width and x:
            x, y = 0, y + 16
        swatch: Mark = Rect(x, y + 1, 15, 10, style)
        if style in ("line", "dashed"):
            swatch = Path((((x, y + 6), (x + 17, y + 6)),), style)
        elif style == "share":
            swatch = Rect(x, y + 5, 15, 3, style, radius=0)
        marks += [swatch, Text(x + 20, y + 10, word, "small")]
        x += room
    return [Drawing(width, y + 14, 0, tuple(marks))]


def _styles(box: Drawing) -> Iterator[str]:
    for mark in box.marks:
        if isinstance(mark, Rect) or (isinstance(mark, Path) and mark.shortcut):
            yield mark.style
    for _, _, child in box.children:
        yield from _styles(child)
