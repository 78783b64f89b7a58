"""Networks are drawn as bubbles: two metrics are the axes, the parameters areas."""

from collections.abc import Mapping, Sequence
from math import log10, pi, sqrt
from typing import Any

import altair as alt

from resbench.drawing.charts import LINE, WIDTH, Label, Picture, data, labels, log_or_linear
from resbench.results import metric_of
from resbench.tables.table import Column, Table
from resbench.units import scale

HEIGHT = 400

AREAS = 40.0, 900.0
"""Bubbles have areas between these, in square pixels."""


class _Axis:
    """An axis of the bubbles gives values in the unit of their column, and where they are in pixels."""

    def __init__(self, column: Column, values: Sequence[float], length: float) -> None:
        self.length = length
        self.divisor, unit = (1.0, "")
        if column.kind in ("exact", "count", "bytes", "seconds"):
            self.divisor, unit = scale(values, "count" if column.kind == "exact" else column.kind)
        self.title = f"{column.title} ({unit})" if unit else column.title
        self.log = "type" in log_or_linear(values)
        least, most = self.value(min(values)), self.value(max(values))
        self.domain = (least / 1.7, most * 1.7) if self.log else (0.0, most * 1.15 or 1.0)
        self.scale = alt.Scale(type="log" if self.log else "linear", domain=list(self.domain), nice=False)
        self.axis = alt.Axis(format="%" if column.kind == "share" else ",.3~f", tickCount=6)

    def value(self, raw: float) -> float:
        """Return the value in the unit of the axis."""
        return raw / self.divisor

    def pixel(self, raw: float) -> float:
        """Return how far from the beginning of the axis the value stands."""
        value, (low, high) = self.value(raw), self.domain
        if self.log:
            value, low, high = log10(value), log10(low), log10(high)
        return self.length * (value - low) / (high - low)


def bubbles(table: Table, families: Mapping[str, str], axes: Sequence[str], below: Sequence[str] = ()) -> list[Picture]:
    """Draw the networks of a comparison by two metrics, spreads as bars; fewer than two that have both give no picture.

    ``below`` are lines under the title.
    """
    columns = {column.key: column for column in table.columns}
    x, y = (_column(columns, metric) for metric in axes)
    records = [record for record in table.records() if x and y and None not in (record[x.key], record[y.key])]
    if len(records) < 2 or x is None or y is None:
        return []
    across, up = _Axis(x, [r[x.key] for r in records], WIDTH), _Axis(y, [r[y.key] for r in records], HEIGHT)
    sizes = [record.get("params") or 0 for record in records]
    areas = [AREAS[0] + (AREAS[1] - AREAS[0]) * size / max(*sizes, 1) for size in sizes]
    rows = [{"model": r["model"], "family": families.get(r["model"], ""), **_cells(r, (x, y))} for r in records]
    marks = [
        {**row, "x": across.value(r[x.key]), "y": up.value(r[y.key]), "area": area, **_interval(r, y, up)}
        for row, r, area in zip(rows, records, areas, strict=True)
    ]
    points = [
        (across.pixel(r[x.key]), HEIGHT - up.pixel(r[y.key]), sqrt(area / pi), r["model"])
        for r, area in zip(records, areas, strict=True)
    ]
    area = "; area: parameters" if any(sizes) else ""
    title: Any = f"{metric_of(axes[1]).title} against {metric_of(axes[0]).title}{area}"
    if below:
        title = alt.TitleParams(title, subtitle=list(below))
    chart = _drawn(marks, across, up, list(zip(points, labels(points, WIDTH, HEIGHT), strict=True)))
    return [Picture("networks", chart.properties(width=WIDTH, height=HEIGHT, title=title), rows)]


def _drawn(
    marks: Sequence[Mapping[str, Any]],
    across: _Axis,
    up: _Axis,
    named: Sequence[tuple[tuple[float, float, float, str], Label]],
) -> Any:
    """Draw bubbles over their intervals; each name is a layer, for every one stands elsewhere beside its bubble."""
    x = alt.X("x:Q", title=across.title, scale=across.scale, axis=across.axis)
    y = alt.Y("y:Q", title=up.title, scale=up.scale, axis=up.axis)
    base = alt.Chart(data(marks))
    layers = [
        base.mark_point(filled=True, opacity=0.75).encode(
            x,
            y,
            size=alt.Size("area:Q", scale=None),
            tooltip=["model:N", "family:N", alt.Tooltip("x:Q", title=across.title), alt.Tooltip("y:Q", title=up.title)],
            color=alt.Color("family:N", title=None),
            shape=alt.Shape("family:N", title=None),
        ),
        base.mark_rule(color="#888", clip=True).encode(x, alt.Y("low:Q", title=up.title), y2="high:Q"),
    ]
    for mark, ((px, py, r, text), label) in zip(marks, named, strict=True):
        place = alt.Chart(data([{"x": mark["x"], "y": mark["y"], "name": text}])).encode(x, y)
        layers.append(place.mark_text(fontSize=11, dx=label.x - px, dy=label.y - py).encode(text="name:N"))
        if max(abs(label.end_x - px), abs(label.end_y - py)) > r + LINE:
            lead = place.mark_rule(color="#888", strokeWidth=0.7, x2Offset=label.end_x - px, y2Offset=label.end_y - py)
            layers.append(lead.encode(x2="x:Q", y2="y:Q"))
    return alt.layer(*layers)


def _column(columns: Mapping[str, Column], metric: str) -> Column | None:
    """Return the column of a metric: that of its first place, where it has several."""
    key = metric_of(metric).key
    return columns.get(key) or columns.get(f"{key}_a")


def _spread(column: Column) -> str:
    """Return the key of a column's spread."""
    return f"{column.key[:-2]}_spread_a" if column.key.endswith("_a") else f"{column.key}_spread"


def _interval(record: Mapping[str, Any], column: Column, axis: _Axis) -> dict[str, float]:
    value, spread = record[column.key], record.get(_spread(column)) or 0.0
    half = spread * value if column.kind in ("seconds", "rate") else spread
    return {"low": axis.value(max(value - half, 1e-3 * value)), "high": axis.value(value + half)}


def _cells(record: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    keys = [key for column in columns for key in (column.key, _spread(column))]
    return {key: record[key] for key in (*keys, "params") if key in record}
