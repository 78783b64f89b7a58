"""The page on which a network is drawn has bands in columns, a heading above and a legend below."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log
from typing import NamedTuple

from resbench.arch.algebra import Shape
from resbench.drawing.boxes import Drawing, Mark, Path, Rect, Text, arrow, line, placed, text_width
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


@dataclass(frozen=True)
class Band:
    """A band is a stage. It stands under its name and totals, if it has a name."""

    name: str
    items: tuple[Item, ...]
    params: int
    macs: int
    share: float
    """It takes this share of the network's MACs."""

    @cached_property
    def box(self) -> Drawing:
        """The items stand below each other; an arrow leads into each, with the shape where it changed."""
        labels = ["", *(shape_text(b.input) if b.input != a.input else "" for a, b in pairwise(self.items))]
        left = max(item.box.axis for item in self.items)
        right = max(*(item.box.right for item in self.items), *(6 + text_width(label, "small") for label in labels))
        y = 0.0
        marks: list[Mark] = []
        children: list[tuple[float, float, Drawing]] = []
        for label, item in zip(labels, self.items, strict=True):
            length = LABELLED if label else EDGE
            marks += _edge(left, y, length, label)
            children.append((left - item.box.axis, y + length, item.box))
            y += length + item.box.height
        return Drawing(left + right, y, left, tuple(marks), tuple(children))

    @property
    def totals(self) -> str:
        """The totals read ``70.4k / 218M · 12 %``; where there are no MACs, they have no share."""
        share = f" · {100 * self.share:.3g} %" if self.share else ""
        return f"{count_text(self.params)} / {count_text(self.macs)}{share}"

    @property
    def room(self) -> float:
        """Its name and totals need this width."""
        texts = text_width(self.name, "heading"), text_width(self.totals, "small")
        return max(texts) + 2 * PAD if self.name else 0


class Panel(NamedTuple):
    """A panel is a network, drawn but not placed."""

    name: str
    facts: str
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
    alike = len({len(panel.bands) for panel in panels}) == 1
    boxes: list[Drawing] = []
    for group in [panels] if alike else [[panel] for panel in panels]:
        cut = _cut(group[0].bands)
        extents = [[_extent(panel.bands[column]) for column in cut] for panel in group]
        shared = [Extent(max(e.left for e in same), max(e.right for e in same)) for same in zip(*extents, strict=True)]
        boxes += [_panel(panel, cut, shared) for panel in group]
    return [*boxes, *legend(boxes)]


# -- bands --------------------------------------------------------------------------------------------------


def _edge(x: float, y: float, length: float, label: str) -> list[Mark]:
    mark: list[Mark] = [arrow((x, y), (x, y + length))]
    return [*mark, Text(x + 6, y + length / 2 + 3, label, "small")] if label else mark


def _framed(band: Band, extent: Extent) -> Drawing:
    """The band stands under its name and totals, with a bar for its share of the MACs."""
    if not band.name:
        return band.box
    inner = band.box
    width, bottom = extent.left + extent.right, BAND_HEAD + inner.height + PAD
    marks: tuple[Mark, ...] = (
        Rect(0, 0, width, bottom, "band", radius=6),
        Text(PAD, 16, band.name, "heading"),
        Text(PAD, 29, band.totals, "small"),
        Rect(PAD, 34, width - 2 * PAD, 3, "track", radius=0),
        *([Rect(PAD, 34, band.share * (width - 2 * PAD), 3, "share", radius=0)] if band.share else []),
        line((extent.left, BAND_HEAD), (extent.left, BAND_HEAD + 1)),
        line((extent.left, BAND_HEAD + inner.height), (extent.left, bottom)),
    )
    return Drawing(width, bottom, extent.left, marks, ((extent.left - inner.axis, BAND_HEAD, inner),))


# -- columns ------------------------------------------------------------------------------------------------


def _cut(bands: Sequence[Band]) -> list[slice]:
    """Each column has these bands: columns are as even as can be, and as many as come nearest to ASPECT."""
    heights = [band.box.height + BAND_HEAD + PAD + LABELLED for band in bands]

    def strain(cut: Sequence[slice]) -> float:
        width = sum(sum(_extent(bands[column])) + GUTTER for column in cut) - GUTTER
        height = max(sum(heights[column]) for column in cut)
        return abs(log(width / height / ASPECT)) + 3 * max(0.0, width / WIDE - 1)

    return min((_even(heights, n) for n in range(1, len(bands) + 1)), key=strain, default=[slice(0, 0)])


def _even(heights: Sequence[float], count: int) -> list[slice]:
    """There are at most ``count`` runs, and the highest is as low as it can be."""
    low, high = max(heights), sum(heights)
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_filled(heights, middle)) <= count else (middle, high)
    return _filled(heights, high)


def _filled(heights: Sequence[float], limit: float) -> list[slice]:
    """The runs are as long as they can be without being higher than the limit."""
    runs: list[slice] = []
    start, room = 0, limit
    for i, height in enumerate(heights):
        if height > room and i > start:
            runs.append(slice(start, i))
            start, room = i, limit
        room -= height
    return [*runs, slice(start, len(heights))]


def _extent(column: Sequence[Band]) -> Extent:
    """A column has room for its bands, and for their names and totals."""
    left = max((band.box.axis for band in column), default=0) + PAD
    right = max((band.box.right for band in column), default=0) + PAD
    spare = max(0, max((band.room for band in column), default=0) - left - right)
    return Extent(left + spare / 2, right + spare / 2)


def _panel(panel: Panel, cut: Sequence[slice], extents: Sequence[Extent]) -> Drawing:
    """A panel has a heading, columns, and a line that leads from each column to the next."""
    top = 44.0
    marks: list[Mark] = [Text(0, 16, panel.name, "title"), Text(0, 32, panel.facts, "small")]
    children: list[tuple[float, float, Drawing]] = []
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
        for i, band in enumerate(panel.bands[column], column.start):
            if i > column.start:
                marks.append(arrow((axis, y), (axis, y + LABELLED)))
                y += LABELLED
            if i == 0 or panel.bands[i - 1].items[-1].input != band.items[0].input:
                marks.append(Text(axis + 6, y - 9, shape_text(band.items[0].input), "small"))
            box = _framed(band, extent)
            children.append((axis - box.axis, y, box))
            y += box.height
        out = (axis, y)
        bottom = max(bottom, y + EXIT)
        x += extent.left + extent.right + GUTTER
    if out and panel.bands:
        marks += _edge(*out, LABELLED, shape_text(panel.bands[-1].items[-1].output))
        bottom = max(bottom, out[1] + LABELLED)
    width = max(x - GUTTER, *(text_width(mark.text, mark.font) for mark in marks[:2] if isinstance(mark, Text)))
    return Drawing(width, bottom, 0, tuple(marks), tuple(children))


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
    every = [mark for box in boxes for mark, _, _ in placed(box)]
    seen = {mark.style for mark in every if isinstance(mark, Rect) or (isinstance(mark, Path) and mark.shortcut)}
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
