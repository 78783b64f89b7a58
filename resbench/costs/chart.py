"""A chart shows costs layer by layer."""

import json
from collections.abc import Mapping
from typing import Any

import resbench.arch as layers
from resbench.arch.kinds import Kind
from resbench.arch.rows import Cost
from resbench.costs.table import uncounted
from resbench.drawing.charts import LETTER, LINE, WIDTH, Box, Picture, data
from resbench.units import printable

QUANTITIES = (("MACs", "macs"), ("params", "params"), ("activations", "activations"))

GROUPS: Mapping[str, tuple[Kind, ...]] = {
    "convolution": ("convolution",),
    "linear": ("linear", "matrix product", "attention", "recurrent", "embedding"),
    "normalisation": ("normalisation",),
    "activation": ("activation", "function"),
    "pooling": ("pooling", "max pooling", "reduction"),
    "sum, join": ("sum", "product", "concatenation", "rearrangement"),
}
"""Kinds of one group share a colour; there are no more groups than colours."""


EARLIER: Mapping[str, Kind] = {
    **{name: layer.kind for name, layer in vars(layers).items() if isinstance(getattr(layer, "kind", None), str)},
    "AdaptiveAvgPool2d": "pooling",
    "add": "sum",
    "mul": "product",
    "cat": "concatenation",
}
"""Layers of these types were of these kinds before rows said it."""


def group(kind: Kind | None, type: str = "") -> str:
    """Find the group of a kind of layers; of a layer's type, where an earlier version counted or measured.

    >>> group("convolution"), group("function"), group("dropout"), group(None, "BatchNorm2d"), group(None, "MyLayer")
    ('convolution', 'activation', 'other', 'normalisation', 'other')
    """
    kind = kind or EARLIER.get(type)
    return next((name for name, kinds in GROUPS.items() if kind in kinds), "other")


def by_layer(c: Cost) -> Picture:
    """It draws MACs, parameters and activations of every layer in running order, with the stages below."""
    import altair as alt

    rows = [
        {
            "order": i,
            "layer": row.name,
            "type": row.type,
            "kind": group(row.kind, row.type),
            "output": "x".join(map(str, row.output)),
            **{key: getattr(row, key) for _, key in QUANTITIES},
        }
        for i, row in enumerate(c.layers)
    ]
    starts: dict[str, int] = {}
    for i, row in enumerate(c.layers):
        starts.setdefault(printable(row.name.partition(".")[0]), i)
    begin: dict[str, Any] = {
        "values": sorted(starts.values()),
        "grid": True,
        "labelAlign": "left",
    }
    names = f"({json.dumps(_named(starts, len(rows)))})[datum.value] || ''"
    below = alt.Axis(labelExpr=names, labelOverlap=False, **begin)
    kinds = [name for name in (*GROUPS, "other") if any(row["kind"] == name for row in rows)]
    panels = []
    for title, key in QUANTITIES:
        bars = alt.Chart(data([row for row in rows if row[key]])).mark_bar(
            size=max(min(0.8 * WIDTH / max(len(rows), 1), 14), 1), clip=True
        )
        panels.append(
            bars.encode(
                x=alt.X(
                    "order:Q",
                    title=None,
                    axis=below if key == "activations" else alt.Axis(**{**begin, "labels": False}),
                    scale=alt.Scale(domain=[-0.5, len(rows) - 0.5], nice=False),
                ),
                y=alt.Y(f"{key}:Q", title=title, axis=alt.Axis(format="~s", tickCount=4)),
                color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds)),
                tooltip=["layer:N", "type:N", "output:N", *(alt.Tooltip(f"{k}:Q", format=",") for _, k in QUANTITIES)],
            ).properties(width=WIDTH, height=90)
        )
    chart = alt.vconcat(*panels, spacing=8).resolve_scale(color="shared")
    title, too_low = f"{c.model}: cost by layer", uncounted([c])
    whole = chart.properties(title=alt.TitleParams(title, subtitle=too_low) if too_low else title)
    return Picture(f"cost by layer of {c.model}", whole, rows)


def _named(starts: Mapping[str, int], count: int) -> dict[int, str]:
    """These stages have room for their names below them; those of the most layers come first."""
    ends = dict(zip(starts, [*starts.values(), count][1:], strict=True))
    taken: list[Box] = []
    named = {}
    for name, i in sorted(starts.items(), key=lambda start: start[1] - ends[start[0]]):
        box = Box(WIDTH * i / count, 0, LETTER * len(name) + 6, LINE)
        if not any(box.meets(other) for other in taken):
            taken.append(box)
            named[i] = name
    return named
