"""Gradient flow as pictures: in the terminal, and as charts that need neither a browser nor a network."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from resbench.drawing.charts import WIDTH, Picture, data
from resbench.errors import OutputError
from resbench.gradients.statistics import path_lengths

if TYPE_CHECKING:
    from resbench.gradients.result import Flow

LAYERS: Any = {"labelFontSize": 8, "labelOverlap": "greedy", "labelAngle": -60}
"""The axis of many names."""


def picture(flows: Sequence[Flow], width: int, colour: bool) -> str:
    """The activation gradient by depth on a log scale, for each network at its first observed step."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(min(max(width - 1, 40), 110), 16)
    plotext.theme("clear" if not colour else "pro")
    exponents: set[int] = set()
    for flow, marker in zip((flow for flow in flows if flow.rows), "ox+*#@%&" * len(flows), strict=False):
        step = flow.steps[0]
        points = [(d, log10(v)) for d, v in flow.means("gradient", step).values() if v > 0 and isfinite(v)]
        if len(points) > 1:
            x, y = zip(*points, strict=True)
            plotext.plot([100 * depth for depth in x], y, label=f"{flow.model} @{step}", marker=marker)
            exponents |= {floor(value) for value in y} | {floor(value) + 1 for value in y}
    if not exponents:
        return ""
    ticks = sorted(exponents)[:: max(len(exponents) // 6, 1)]
    plotext.yticks(ticks, [f"1e{tick:+d}" for tick in ticks])
    plotext.ylim(min(exponents), max(exponents))
    plotext.title("||dL/dx|| by depth")
    plotext.xlabel("depth (%)")
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def pictures(flows: Sequence[Flow], shown: Collection[str] = ("gradient", "update", "share")) -> list[Picture]:
    """By the statistics that are shown: the gradient by depth with the stages behind it, update ratios by layer and
    step, the two paths of every sum and the lengths of the paths. Raises OutputError where there is none."""
    flows = [flow for flow in flows if flow.rows]
    if not any(isfinite(row.value) for flow in flows for row in flow.rows if row.statistic == "gradient"):
        raise OutputError("nothing to draw: no gradient is finite")
    drawn = [by_depth(flows)] if "gradient" in shown else []
    drawn += [picture for flow in flows if "update" in shown and (picture := _updates(flow))]
    drawn += [picture for flow in flows if "share" in shown and (picture := _paths(flow))]
    drawn += [picture for picture in [_lengths(flows)] if "share" in shown and picture]
    if not drawn:
        raise OutputError("nothing to draw: expected gradient, update or share among the statistics of --stat")
    return drawn


def by_depth(flows: Sequence[Flow]) -> Picture:
    """The activation gradient of every network and step, on a logarithmic scale."""
    import altair as alt

    points = [
        {"model": flow.model, "step": f"step {step}", "depth": depth, "value": value}
        for flow in flows
        for step in flow.steps
        for depth, value in flow.means("gradient", step).values()
        if value > 0 and isfinite(value)
    ]
    line = alt.Chart(data(points)).mark_line()
    line = line.encode(
        x=alt.X("depth:Q", title="depth", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("value:Q", title="||dL/dx||", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e")),
        color=alt.Color("model:N", title=None),
        strokeDash=alt.StrokeDash("step:N", title=None, sort=None),
        tooltip=["model:N", "step:N", alt.Tooltip("depth:Q", format=".1%"), alt.Tooltip("value:Q", format=".3e")],
    )
    bands = alt.Chart(data(_stages(flows[0]))).mark_rect(opacity=0.08)
    bands = bands.encode(
        x="from:Q", x2="to:Q", color=alt.Color("stage:N", legend=None, scale=alt.Scale(scheme="greys"))
    )
    layers = alt.layer(bands, line).resolve_scale(color="independent")
    title = f"Activation gradient by depth; stages of {flows[0].model}"
    return Picture("gradient by depth", layers.properties(title=title, width=WIDTH, height=280), points)


def _stages(flow: Flow) -> list[dict[str, Any]]:
    """The stages as bands, from the middle of each to the middle between it and its neighbours."""
    middles = sorted({(row.depth, row.name) for row in flow.rows if row.statistic == "growth"})
    edges = [0.0, *((a + b) / 2 for (a, _), (b, _) in pairwise(middles)), 1.0]
    return [{"stage": name, "from": edges[i], "to": edges[i + 1]} for i, (_, name) in enumerate(middles)]


def _updates(flow: Flow) -> Picture | None:
    import altair as alt

    cells = [
        {"model": flow.model, "layer": name, "order": i, "step": step, "update": value}
        for step in flow.steps
        for i, (name, (_, value)) in enumerate(flow.means("update", step).items())
        if value > 0 and isfinite(value)
    ]
    if not cells:
        return None
    chart = alt.Chart(data(cells)).mark_rect()
    scale = alt.Scale(type="log", scheme="viridis")
    chart = chart.encode(
        x=alt.X("layer:N", sort=alt.EncodingSortField("order"), title=None, axis=LAYERS),
        y=alt.Y("step:O", title="step"),
        color=alt.Color("update:Q", title="update", scale=scale, legend=alt.Legend(format=".0e", tickCount=4)),
        tooltip=["layer:N", "step:O", alt.Tooltip("update:Q", format=".3e")],
    ).properties(title=f"{flow.model}: update ratio lr ||dL/dW|| / ||W||", width=WIDTH, height=24 * len(flow.steps))
    return Picture(f"update ratios of {flow.model}", chart, cells)


def _paths(flow: Flow) -> Picture | None:
    import altair as alt

    bars = [
        {"model": flow.model, "sum": name, "order": i, "path": path, "share": value}
        for i, (name, (_, share)) in enumerate(flow.means("share", flow.steps[0]).items())
        for path, value in (("shortcut", 1 - share), ("branch", share))
        if isfinite(share)
    ]
    if not bars:
        return None
    chart = alt.Chart(data(bars)).mark_bar()
    title = f"{flow.model}: the gradient along shortcut and branch, step {flow.steps[0]}"
    chart = chart.encode(
        x=alt.X("sum:N", sort=alt.EncodingSortField("order"), title=None, axis=LAYERS),
        y=alt.Y("share:Q", title="of the energy", axis=alt.Axis(format="%")),
        color=alt.Color("path:N", title=None),
        tooltip=["sum:N", "path:N", alt.Tooltip("share:Q", format=".1%")],
    ).properties(title=title, width=WIDTH, height=120)
    return Picture(f"paths of {flow.model}", chart, bars)


def _lengths(flows: Sequence[Flow]) -> Picture | None:
    import altair as alt

    values = [
        {"model": flow.model, "branches": k, "share": share}
        for flow in flows
        if (shares := [share for _, share in flow.means("share", flow.steps[0]).values()])
        and all(map(isfinite, shares))
        for k, share in enumerate(path_lengths(shares))
    ]
    if not values:
        return None
    chart = alt.Chart(data(values)).mark_bar(opacity=0.6)
    chart = chart.encode(
        x=alt.X("branches:O", title="branches on the path"),
        y=alt.Y("share:Q", title="of the energy", stack=None, axis=alt.Axis(format="%")),
        color=alt.Color("model:N", title=None),
        tooltip=["model:N", "branches:O", alt.Tooltip("share:Q", format=".1%")],
    ).properties(title="Lengths of the paths that the gradient takes", width=WIDTH, height=120)
    return Picture("lengths of paths", chart, values)
