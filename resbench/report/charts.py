"""What every chart has in common: its data, how it looks, and how it is written.

A chart reads in print and without colour vision: Okabe and Ito's colours, and a dash or a shape wherever a colour
carries a meaning; an axis is logarithmic where its values span decades.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from math import isfinite, log10
from pathlib import Path
from typing import Any, NamedTuple

from resbench.errors import OptionError
from resbench.tables.output import write

SUFFIXES = (".svg", ".png", ".pdf", ".html")

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31", "#7f7f7f")
"""Okabe & Ito 2008, "Color Universal Design"; brown and grey in place of its yellow and black, which a page hides."""

STYLE: Mapping[str, Any] = {
    "font": "DejaVu Sans, Helvetica, Arial, sans-serif",
    "range": {"category": COLOURS},
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridOpacity": 0.35},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "symbolOpacity": 1, "labelLimit": 260},
    "title": {"fontSize": 13, "anchor": "start", "fontWeight": "bold", "subtitleFontSize": 11},
    "view": {"strokeOpacity": 0.3},
}

DECADES = 1.3
"""From which on an axis is logarithmic: a factor of 20."""

WIDTH = 620


class Picture(NamedTuple):
    """A chart and its data: ``rows`` are what the CSV beside it holds."""

    name: str
    chart: Any
    rows: Sequence[Mapping[str, Any]]


def check_suffix(path: Path) -> None:
    """Raises OptionError unless the name says how to draw."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--plot takes a file that ends in {', '.join(SUFFIXES)}; received {path.name!r}")


def log_or_linear(values: Sequence[float]) -> dict[str, Any]:
    """The scale of an axis: logarithmic where positive values span decades; from 0 otherwise.

    >>> log_or_linear([1.0, 1000.0])["type"], log_or_linear([1.0, 2.0]).get("type")
    ('log', None)
    """
    positive = [value for value in values if value > 0 and isfinite(value)]
    if positive and len(positive) == len(values) and log10(max(positive) / min(positive)) > DECADES:
        return {"type": "log", "nice": True}
    return {"zero": True}


def data(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as the data of an altair chart."""
    import altair as alt

    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-untyped-call]


def whole(pictures: Sequence[Picture]) -> Any:
    """One below the other, as one chart with the style of all."""
    import altair as alt

    charts = [picture.chart for picture in pictures]
    chart = charts[0] if len(charts) == 1 else alt.vconcat(*charts).resolve_scale(color="independent")
    return chart.configure(**STYLE)


def save(pictures: Sequence[Picture], path: Path) -> None:
    """The charts as the file's name says, and their data in NAME.data.csv beside it. Raises OutputError.

    HTML loads nothing from elsewhere.
    """
    kind = path.suffix.lower()[1:]
    held: Any = StringIO() if kind in ("svg", "html") else BytesIO()
    options: dict[str, Any] = {"html": {"inline": True}, "png": {"scale_factor": 2}}
    whole(pictures).save(held, format=kind, **options.get(kind, {}))
    write(path, held.getvalue())
    write(path.with_name(f"{path.stem}.data.csv"), table_of(pictures))


def table_of(pictures: Sequence[Picture]) -> str:
    """The data of charts as CSV, full numbers; the first column names the chart where there are several."""
    names = dict.fromkeys(key for picture in pictures for row in picture.rows for key in row)
    several = len(pictures) > 1
    out = StringIO()
    writer = csv.DictWriter(out, [*(["chart"] if several else []), *names], lineterminator="\n")
    writer.writeheader()
    for picture in pictures:
        first = {"chart": picture.name} if several else {}
        writer.writerows({**first, **row} for row in picture.rows)
    return out.getvalue()


class Box(NamedTuple):
    """A label in pixels, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Do they overlap?"""
        across = self.x < other.x + other.width and other.x < self.x + self.width
        return across and self.y < other.y + other.height and other.y < self.y + self.height


LETTER, LINE = 6.6, 13.0
"""Pixels of a character and a line at size 11: the widest of common fonts."""


def labels(points: Sequence[tuple[float, float, float, str]], width: float, height: float) -> list[tuple[float, float]]:
    """Where the labels of bubbles go, from the middle of each: (dx, dy) of the label's middle, in pixels.

    ``points``: x, y and radius in pixels, and the text. Each takes the first place around its bubble that meets no
    bubble and no earlier label and lies in the picture, farther out from ring to ring; the least bad if none is free.
    """
    bubbles = [Box(x - r, y - r, 2 * r, 2 * r) for x, y, r, _ in points]
    taken: list[Box] = []
    moves = []
    for i, (x, y, r, text) in enumerate(points):
        wide = LETTER * len(text)
        others = [*taken, *(box for j, box in enumerate(bubbles) if j != i)]
        best, least = (0.0, 0.0), float("inf")
        for out in (3, 12, 24, 38, 54, 72):
            side, above = r + out + wide / 2, r + out + LINE / 2
            for dx, dy in (
                (side, 0.0), (-side, 0.0), (0.0, -above), (0.0, above),
                (side * 0.8, -above), (side * 0.8, above), (-side * 0.8, -above), (-side * 0.8, above),
            ):  # fmt: skip
                box = Box(x + dx - wide / 2, y + dy - LINE / 2, wide, LINE)
                inside = box.x >= 0 and box.x + wide <= width and box.y >= 0 and box.y + LINE <= height
                bad = sum(box.meets(other) for other in others) + (0 if inside else 2)
                if bad < least:
                    best, least = (dx, dy), bad
            if least == 0:
                break
        moves.append(best)
        taken.append(Box(x + best[0] - wide / 2, y + best[1] - LINE / 2, wide, LINE))
    return moves
