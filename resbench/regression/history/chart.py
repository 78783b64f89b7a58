"""The history of stored runs becomes a chart: a panel for each benchmark."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from resbench.drawing.charts import Picture, data
from resbench.regression.history.result import History
from resbench.regression.history.table import nights

COLUMNS = 3
LEAST = 0.05
"""A panel shows at least this share of the first median, up and down, so that noise looks like noise."""


def levels(histories: Sequence[History]) -> Picture:
    """Draw medians relative to the first of their machine: points are runs, lines levels, dashed rules changes."""
    import altair as alt

    rows = [row for history in histories for series in history.series for row in _points(nights(series))]
    days = sorted({row["time"][:10] for row in rows})
    one = len(days) == 1  # then the hours tell the runs apart
    axis = alt.Axis(labelOverlap=True, tickCount=5 if one else min(5, len(days)), format="%H:%M" if one else "%d %b")
    base = alt.Chart().encode(
        x=alt.X("time:T", title=days[0] if one else None, axis=axis),
        color=alt.Color(
            "machine:N", title="machine", legend=alt.Legend(orient="bottom") if len(histories) > 1 else None
        ),
    )
    points = base.mark_point(filled=True, size=14, opacity=0.55).encode(
        y=alt.Y("relative:Q", title="relative to the first", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    )
    steps = base.mark_line(strokeWidth=2).encode(y="level:Q", detail="segment:N")
    changed = base.transform_filter("isValid(datum.change)")
    rules = changed.mark_rule(strokeDash=[4, 3])
    texts = changed.mark_text(align="left", baseline="top", dx=3, fontSize=10).encode(
        y=alt.value(2), text=alt.Text("change:Q", format="+.1%")
    )
    bounds = [alt.Chart().mark_rule(opacity=0).encode(y=alt.datum(1 + side)) for side in (-LEAST, LEAST)]
    name = alt.Header(title=None, labelExpr="slice(datum.label, lastindexof(datum.label, '/') + 1)", labelLimit=270)
    chart = (
        alt.layer(points, steps, rules, texts, *bounds, data=data(rows))
        .properties(width=270, height=130)
        .facet(alt.Facet("benchmark:N", header=name), columns=COLUMNS)
        .resolve_scale(y="independent")
        .properties(title="Median time of stored runs; dashed: change of level")
    )
    return Picture("history", chart, rows)


def _points(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the points of one benchmark on one machine; those of a segment are of one level."""
    first = rows[0]["median_s"]
    segments = accumulate(int(row["change"] is not None) for row in rows)
    return [
        {
            "time": row["time_utc"],
            "benchmark": row["benchmark"],
            "machine": row["machine"],
            "segment": segment,
            "relative": row["median_s"] / first,
            "level": row["level_s"] / first,
            "change": row["change"],
        }
        for row, segment in zip(rows, segments, strict=True)
    ]
