"""This module draws what each layer reaches of what the machine's ceilings allow (Williams et al. 2009)."""

from collections.abc import Mapping
from typing import Any

from resbench.costs.chart import group
from resbench.drawing.charts import WIDTH, Picture, data
from resbench.timing.layers.result import Layers
from resbench.timing.layers.table import layer_warnings
from resbench.units import calls_text

HEIGHT = 360


def roofline(result: Layers) -> Picture | None:
    """Draw FLOP/s by FLOP/B of every layer with MACs, its area its time, under memory's roof and, dashed, the caches'.

    None where no layer has both FLOPs and bytes, or there is no roof of what ran.
    """
    import altair as alt

    roof = result.roof
    rows = [_row(record) for record in result.layers if record["flops_per_s"]]
    if not rows or roof is None:
        return None
    left, right = 0.7 * min(row["intensity"] for row in rows), 1.5 * max(row["intensity"] for row in rows)
    lines = [
        {"ceiling": name, "intensity": at, "flops_per_s": min(at * rate, roof.flops_per_s)}
        for name, rate in (("caches", max(rate for _, rate in roof.copies)), ("memory", roof.bytes_per_s))
        for at in sorted({left, max(right, roof.flops_per_s / rate), roof.flops_per_s / rate})
        if left <= at
    ]
    x = alt.X("intensity:Q", title="FLOP/B", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s", tickCount=6))
    y = alt.Y("flops_per_s:Q", title="FLOP/s", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s", tickCount=6))
    limits = (
        alt.Chart(data(lines))
        .mark_line(color="#888", strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            strokeDash=alt.StrokeDash(
                "ceiling:N", title="roof", scale=alt.Scale(domain=["memory", "caches"], range=[[1, 0], [5, 4]])
            ),
        )
    )
    points = (
        alt.Chart(data(rows))
        .mark_point(filled=True, opacity=0.7)
        .encode(
            x=x,
            y=y,
            size=alt.Size(
                "share:Q", title="of the time", legend=alt.Legend(format="%"), scale=alt.Scale(range=[20, 600])
            ),
            color=alt.Color("kind:N", title=None),
            shape=alt.Shape("kind:N", title=None),
            tooltip=[
                "layer:N",
                "type:N",
                alt.Tooltip("intensity:Q", format=".3s"),
                alt.Tooltip("flops_per_s:Q", format=".3s"),
                alt.Tooltip("of_roof:Q", format=".1%"),
                "bound:N",
                alt.Tooltip("share:Q", format=".1%"),
                "not counted:N",
            ],
        )
    )
    subtitle = [roof.line, *layer_warnings(result.model, result.times)]
    title = alt.TitleParams(f"{result.model}: layers under the roof", subtitle=subtitle)
    chart = alt.layer(limits, points).properties(width=WIDTH, height=HEIGHT, title=title)
    return Picture(f"roofline of {result.model}", chart, rows)


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("intensity", "flops_per_s", "bytes_per_s", "of_roof", "bound", "share", "macs", "bytes")
    which = {"layer": record["name"], "type": record["type"], "kind": group(record["kind"], record["type"])}
    return {**which, **{key: record[key] for key in keys}, "not counted": calls_text(record["uncounted"] or {})}
