"""Costs as charts: layer by layer, and networks as bubbles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import log10, pi, sqrt
from typing import Any

from resbench.arch.cost import Cost, Row
from resbench.report.charts import WIDTH, Picture, data, labels, log_or_linear
from resbench.tables.metrics import METRICS
from resbench.tables.table import Column, Table
from resbench.units import scale

QUANTITIES = (("MACs", "macs"), ("params", "params"), ("activations", "activations"))

GROUPS = {
    "convolution": ("Conv",),
    "linear": ("Linear", "Bilinear", "Embedding", "Attention"),
    "normalisation": ("Norm",),
    "activation": ("ReLU", "Sigmoid", "SiLU", "GELU", "Tanh", "Swish", "Softmax", "Mish", "LU"),
    "pooling": ("Pool",),
    "sum, join": ("Add", "Concat", "Mul", "Highway", "add", "cat"),
}
"""Kinds of layers by what is in the names of their types: no more than there are colours."""


def group(kind: str) -> str:
    """Of a type of layers.

    >>> group("Conv2d"), group("BatchNorm2d"), group("GlobalAvgPool"), group("MyLayer")
    ('convolution', 'normalisation', 'pooling', 'other')
    """
    return next((name for name, words in GROUPS.items() if any(word in kind for word in words)), "other")


def by_layer(c: Cost) -> Picture:
    """MACs, parameters and activations of every layer in running order, with the stages below."""
    import altair as alt

    rows = [
        {
            "order": i,
            "layer": row.name,
            "type": row.type,
            "kind": group(row.type),
            "output": _shape(row),
            **_counts(row),
        }
        for i, row in enumerate(c.layers)
    ]
    starts: dict[str, int] = {}
    for i, row in enumerate(c.layers):
        starts.setdefault(row.name.partition(".")[0], i)
    begin: dict[str, Any] = {
        "values": sorted(starts.values()),
        "grid": True,
        "labelAlign": "left",
        "labelOverlap": "greedy",
    }
    names = json.dumps({str(i): name for name, i in starts.items()})
    below = alt.Axis(labelExpr=f"({names})[datum.value]", **begin)
    kinds = [name for name in (*GROUPS, "other") if any(row["kind"] == name for row in rows)]
    panels = []
    for title, key in QUANTITIES:
        bars = alt.Chart(data([row for row in rows if row[key]])).mark_bar(
            size=max(min(0.8 * WIDTH / max(len(rows), 1), 14), 1), clip=True
        )
        last = key == QUANTITIES[-1][1]
        panels.append(
            bars.encode(
                x=alt.X(
                    "order:Q",
                    title=None,
                    axis=below if last else alt.Axis(**{**begin, "labels": False}),
                    scale=alt.Scale(domain=[-0.5, len(rows) - 0.5], nice=False),
                ),
                y=alt.Y(f"{key}:Q", title=title, axis=alt.Axis(format="~s", tickCount=4)),
                color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds)),
                tooltip=["layer:N", "type:N", "output:N", *(alt.Tooltip(f"{k}:Q", format=",") for _, k in QUANTITIES)],
            ).properties(width=WIDTH, height=90)
        )
    chart = alt.vconcat(*panels, spacing=8).resolve_scale(color="shared")
    return Picture(f"cost by layer of {c.model}", chart.properties(title=f"{c.model}: cost by layer"), rows)


def _counts(row: Row) -> dict[str, int]:
    return {key: getattr(row, key) for _, key in QUANTITIES}


def _shape(row: Row) -> str:
    return "x".join(map(str, row.output))


HEIGHT = 400

AREAS = 40.0, 1400.0
"""Of bubbles, in square pixels."""


def bubbles(table: Table, families: Mapping[str, str], axes: Sequence[str]) -> Picture | None:
    """Networks of a comparison by two metrics, the parameters as areas, spreads as bars; the front as a line.

    None where fewer than two networks have both.
    """
    import altair as alt

    columns = {column.key: column for column in table.columns}
    x, y = (_column(columns, metric) for metric in axes)
    records = [record for record in table.records() if x and y and record[x.key] and record[y.key]]
    if len(records) < 2 or x is None or y is None:
        return None
    rows = [{"model": r["model"], "family": families.get(r["model"], ""), **_cells(r, (x, y))} for r in records]
    across, up = _Axis(x, [r[x.key] for r in records], WIDTH), _Axis(y, [r[y.key] for r in records], HEIGHT)
    sizes = [record.get("params") or 0 for record in records]
    areas = [AREAS[0] + (AREAS[1] - AREAS[0]) * size / max(*sizes, 1) for size in sizes]
    points = [
        (across.pixel(r[x.key]), HEIGHT - up.pixel(r[y.key]), sqrt(area / pi), r["model"])
        for r, area in zip(records, areas, strict=True)
    ]
    moves = labels(points, WIDTH, HEIGHT)
    spread = f"{y.key}_spread"
    drawn = [
        {
            **row,
            "x": across.value(r[x.key]),
            "y": up.value(r[y.key]),
            "low": up.value(max(r[y.key] - (r.get(spread) or 0), 1e-3 * r[y.key])),
            "high": up.value(r[y.key] + (r.get(spread) or 0)),
            "area": area,
            "text_x": point[0] + move[0],
            "text_y": point[1] + move[1],
        }
        for row, r, area, point, move in zip(rows, records, areas, points, moves, strict=True)
    ]
    base = alt.Chart(data(drawn))
    places = {
        "x": alt.X("x:Q", title=across.title, scale=across.scale, axis=across.axis),
        "y": alt.Y("y:Q", title=up.title, scale=up.scale, axis=up.axis),
    }
    colour = alt.Color("family:N", title=None)
    tips = ["model:N", "family:N", alt.Tooltip("x:Q", title=across.title), alt.Tooltip("y:Q", title=up.title)]
    marks = base.mark_point(filled=True, opacity=0.75).encode(
        **places,
        size=alt.Size("area:Q", scale=None),
        color=colour,
        shape=alt.Shape("family:N", title=None),
        tooltip=tips,
    )
    bars = base.mark_rule(opacity=0.6).encode(
        x=places["x"], y=alt.Y("low:Q", title=up.title), y2="high:Q", color=colour
    )
    names = base.mark_text(fontSize=11, baseline="middle").encode(
        x=alt.X("text_x:Q", scale=None, axis=None), y=alt.Y("text_y:Q", scale=None, axis=None), text="model:N"
    )
    joined = alt.layer(alt.layer(bars, marks), names).resolve_scale(x="independent", y="independent")
    area = "; area: parameters" if any(sizes) else ""
    title = f"{METRICS[axes[1]].title} against {METRICS[axes[0]].title}{area}"
    return Picture("networks", joined.properties(width=WIDTH, height=HEIGHT, title=title), rows)


def _column(columns: Mapping[str, Column], metric: str) -> Column | None:
    """Of a metric, from the first place where it has several."""
    key = METRICS[metric].key
    return columns.get(key) or columns.get(f"{key}_a")


def _cells(record: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    keys = [key for column in columns for key in (column.key, f"{column.key}_spread")]
    return {key: record[key] for key in (*keys, "params") if key in record}


class _Axis:
    """One axis of the bubbles: values in the unit of their column, and where they are in pixels."""

    def __init__(self, column: Column, values: Sequence[float], length: float) -> None:
        import altair as alt

        self.length = length
        self.divisor, unit = (1.0, "")
        if column.kind in ("exact", "count", "bytes", "seconds"):
            self.divisor, unit = scale(values, "count" if column.kind == "exact" else column.kind)
        self.title = f"{column.title} ({unit})" if unit else column.title
        kind = log_or_linear(values)
        self.log = kind.get("type") == "log"
        least, most = self.value(min(values)), self.value(max(values))
        self.domain = (least / 1.7, most * 1.7) if self.log else (0.0, most * 1.15)
        self.scale = alt.Scale(type="log" if self.log else "linear", domain=list(self.domain), nice=False)
        self.axis = alt.Axis(format="%" if column.kind == "share" else "~g", tickCount=6)

    def value(self, raw: float) -> float:
        """In the unit of the axis."""
        return raw / self.divisor

    def pixel(self, raw: float) -> float:
        """From its beginning."""
        value, (low, high) = self.value(raw), self.domain
        if self.log:
            value, low, high = log10(value), log10(low), log10(high)
        return self.length * (value - low) / (high - low)
