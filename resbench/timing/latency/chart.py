"""This module draws latencies: the samples of every process, and the interval of the median."""

from statistics import median_high
from typing import Any

from resbench.drawing.charts import WIDTH, Picture, data
from resbench.timing.latency.result import Latencies
from resbench.timing.latency.table import latency_record
from resbench.units import scale


def spreads(result: Latencies) -> Picture:
    """Draw for each network its median with the 95 % interval, 10th to 90th percentile, and each process's median."""
    import altair as alt

    named = result.names_runtimes
    records = [(one, latency_record(one, None)) for one in result.latencies]
    divisor, unit = scale([record["p90_s"] for _, record in records], "seconds")
    rows, points = list[dict[str, Any]](), list[dict[str, Any]]()
    for one, record in records:
        name = one.row(named)
        half = (record["half_width"] or 0) * record["median_s"]
        ends = {"low_s": record["median_s"] - half, "high_s": record["median_s"] + half}
        rows.append({"network": name, **{key: record[key] for key in ("median_s", "p10_s", "p90_s")}, **ends})
        points += [
            {"network": name, "process": i, "median_s": median_high(reading.totals)}
            for i, reading in enumerate(one.readings, 1)
        ]
    shown, dots = (
        [{key: value / divisor if key.endswith("_s") else value for key, value in row.items()} for row in found]
        for found in (rows, points)
    )
    y = alt.Y("network:N", title=None, sort=None)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=f"latency ({unit})", scale=alt.Scale(zero=True))

    tips = ["network:N", *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("median_s", "p10_s", "p90_s"))]
    base = alt.Chart(data(shown))
    tenths = base.mark_bar(height=12, opacity=0.25, color="#0072b2").encode(
        y=y, x=x("p10_s"), x2="p90_s:Q", tooltip=tips
    )
    interval = base.mark_rule(strokeWidth=2, color="#d55e00").encode(y=y, x=x("low_s"), x2="high_s:Q")
    middle = base.mark_tick(thickness=3, size=20, color="#d55e00").encode(y=y, x=x("median_s"), tooltip=tips)
    process = (
        alt.Chart(data(dots))
        .mark_point(size=25, opacity=0.8, color="#0072b2")
        .encode(y=y, x=x("median_s"), tooltip=["network:N", "process:O", alt.Tooltip("median_s:Q", format=".4~g")])
    )
    title = alt.TitleParams(
        "Latency",
        subtitle="Red: median with its 95 % interval; points: medians of processes; bar: 10th to 90th percentile",
    )
    chart = alt.layer(tenths, process, interval, middle).properties(width=WIDTH, height=34 * len(rows), title=title)
    return Picture("latency", chart, rows)
