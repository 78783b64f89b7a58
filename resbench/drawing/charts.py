"""What every chart has in common: its data, how it looks, and how it is written.

A chart reads in print and without colour vision: Okabe and Ito's colours, and a dash or a shape wherever a colour
carries a meaning; an axis is logarithmic where its values span decades.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO, StringIO
from math import isfinite, log10
from pathlib import Path
from typing import Any, NamedTuple, Self

from resbench.errors import OptionError
from resbench.files import write
from resbench.units import legible

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
"""An axis is logarithmic from here on: a factor of 20."""

WIDTH = 620


class Picture(NamedTuple):
    """A chart and its data: ``rows`` are what the CSV beside it holds."""

    name: str
    chart: Any
    rows: Sequence[Mapping[str, Any]]
    network: str = ""
    """Each mark is a network, whose name is in this field of the chart's data and in the first column of the rows."""


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


def data(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A chart of altair takes its rows like this."""
    return {"values": [dict(row) for row in rows]}


def whole(pictures: Sequence[Picture]) -> Any:
    """One below the other, as one chart with the style of all."""
    import altair as alt

    charts = [picture.chart for picture in pictures]
    chart = (
        charts[0]
        if len(charts) == 1
        else alt.vconcat(*charts).resolve_scale(color="independent", strokeDash="independent")
    )
    return chart.configure(**STYLE)


def save(pictures: Sequence[Picture], path: Path) -> None:
    """The charts as a picture of the kind that the file's name says, and their data beside it. Raises OutputError."""
    kind = path.suffix.lower()[1:]
    held: Any = StringIO() if kind == "svg" else BytesIO()
    _legible(whole(pictures)).save(held, format=kind, **({"scale_factor": 2} if kind == "png" else {}))
    write(path, held.getvalue())
    write(data_beside(path), table_of(pictures))


def _legible(chart: Any) -> Any:
    """The chart without what no picture can show, such as control characters in names: vl-convert aborts there."""
    spec = chart.to_dict()
    shown = _shown(spec)
    return chart if shown == spec else type(chart).from_dict(shown, validate=False)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {_shown(key): _shown(one) for key, one in value.items()}
    return [*map(_shown, value)] if isinstance(value, list) else value


def data_beside(path: Path) -> Path:
    """The data of charts are in NAME.data.csv beside their file."""
    return path.with_name(f"{path.stem}.data.csv")


def table_of(pictures: Sequence[Picture]) -> str:
    """The data of charts as CSV, full numbers; the first column names the chart where there are several."""
    names = dict.fromkeys(key for picture in pictures for row in picture.rows for key in row)
    out = StringIO()
    first = ["chart"] if len(pictures) > 1 else []
    writer = csv.DictWriter(out, [*first, *names], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for picture in pictures:
        writer.writerows({"chart": picture.name, **row} for row in picture.rows)
    return legible(out.getvalue())


class Box(NamedTuple):
    """A label in pixels, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Self) -> bool:
        """Do they overlap?"""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


LETTER, LINE = 6.6, 13.0
"""Pixels of a character and a line at size 11: the widest of common fonts."""


class Label(NamedTuple):
    """The middle of a text, and where the line to its bubble ends; pixels."""

    x: float
    y: float
    end_x: float
    end_y: float


def labels(points: Sequence[tuple[float, float, float, str]], width: float, height: float) -> list[Label]:
    """The names of bubbles go to these places. ``points``: x, y and radius in pixels, and the text.

    Each takes the first place around its bubble, from ring to ring, that lies in the picture and meets no bubble, no
    earlier label and with its line none either; else the least bad one.
    """
    bubbles = [Box(x - r, y - r, 2 * r, 2 * r) for x, y, r, _ in points]
    taken: list[Box] = []
    placed = []
    for i, (x, y, r, text) in enumerate(points):
        others = [*taken, *(box for j, box in enumerate(bubbles) if j != i)]
        box = min(_around(x, y, r, text), key=lambda box: _badness(box, (x, y), others, width, height))
        taken.append(box)
        ends = min(max(x, box.x), box.x + box.width), min(max(y, box.y), box.y + box.height)
        placed.append(Label(box.x + box.width / 2, box.y + box.height / 2, *ends))
    return placed


def _around(x: float, y: float, r: float, text: str) -> Iterator[Box]:
    """Places beside, above and below a bubble, and at its corners, nearer ones first."""
    wide = LETTER * len(text)
    for out in (3, 12, 24, 38, 54, 72):
        side, above = r + out + wide / 2, r + out + LINE / 2
        for right, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (0.8, -1), (0.8, 1), (-0.8, -1), (-0.8, 1)):
            yield Box(x + right * side - wide / 2, y + down * above - LINE / 2, wide, LINE)


def _badness(box: Box, middle: tuple[float, float], others: Sequence[Box], width: float, height: float) -> float:
    """It counts what a label at that place would cover, and its line cross."""
    inside = box.x >= 0 and box.x + box.width <= width and box.y >= 0 and box.y + box.height <= height
    ends = box.x + box.width / 2, box.y + box.height / 2
    steps = [
        (middle[0] + k / 8 * (ends[0] - middle[0]), middle[1] + k / 8 * (ends[1] - middle[1])) for k in range(1, 8)
    ]
    crossed = sum(any(Box(px, py, 1, 1).meets(other) for px, py in steps) for other in others)
    return 2 * sum(box.meets(other) for other in others) + crossed + (0 if inside else 4)
