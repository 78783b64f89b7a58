"""Layers become bars: one with weights, or a pool, is a bar, and the strips on it are the layers that go with it."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from resbench.arch.algebra import Layer, Shape
from resbench.drawing.boxes import TINTS, Drawing, Rect, Text, text_width
from resbench.drawing.branches import STRIPS, WEIGHTED, Opening
from resbench.units import shape_text

BAR, STRIP = 18, 13
"""A layer with weights is so high, and those that go with it."""

NARROW = 56
"""No bar is less wide, so that equal blocks of different widths look alike."""


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
