"""These pictures show gradient flow: in the terminal, and as charts that need neither a browser nor a network."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import floor, isfinite, log10
from typing import Any

import altair as alt

from resbench.drawing.charts import WIDTH, Picture, data
from resbench.drawing.lines import sketch
from resbench.errors import OutputError
from resbench.gradients.result import Flow
from resbench.gradients.statistics import path_lengths

LAYERS: Any = {"labelFontSize": 8, "labelOverlap": "greedy", "labelAngle": -60}
"""An axis of many names is drawn so."""


def picture(flows: Sequence[Flow], width: int, colour: bool) -> str:
    """Return the activation gradient by depth on a log scale, for each network at its first observed step."""
    lines = []
    for flow in flows:
        for step in flow.steps[:1]:
            points = [(100 * depth, log10(value)) for depth, value in _gradients(flow, step)]
            lines.append((f"{flow.model} @{step}", points))
    floors = {floor(y) for _, points in lines if len(points) > 1 for _, y in points}
    exponents = sorted(floors | {exponent + 1 for exponent in floors})
    if not exponents:
        return ""
    ticks = exponents[:: max(len(exponents) // 6, 1)]
    return sketch(lines, "||dL/dx|| by depth", (exponents[0], exponents[-1]), width, colour, ticks, "depth (%)")


def _gradients(flow: Flow, step: int) -> list[tuple[float, float]]:
    """Return depth and mean of the gradients of which a logarithm can be shown."""
    means = flow.means("gradient", step).values()
    return [(depth, value) for depth, value in means if value > 0 and isfinite(value)]


def pictures(flows: Sequence[Flow], shown: Collection[str] = ("gradient", "update", "share")) -> list[Picture]:
    """Return by the statistics that are shown: the gradient by depth with the stages behind it, update ratios by layer
    and step, the two paths of every sum and the lengths of the paths. Raises OutputError where there is none."""
    flows = [flow for flow in flows if flow.rows]
    if not any(isfinite(row.value) for flow in flows for row in flow.rows if row.statistic == "gradient"):
        raise OutputError("nothing to draw: no gradient is finite")
    drawn = [by_depth(flows)] if "gradient" in shown else []
    more = [_updates(flow) for flow in flows] if "update" in shown else []
    more += [*map(_paths, flows), _lengths(flows)] if "share" in shown else []
    drawn += [picture for picture in more if picture.rows]
    if not drawn:
        raise OutputError("nothing to draw: expected gradient, update or share among the statistics of --stat")
    return drawn


def by_depth(flows: Sequence[Flow]) -> Picture:
    """Return the activation gradient of every network and step, on a logarithmic scale."""
    points = [
        {"model": flow.model, "step": f"step {step}", "depth": depth, "value": value}
        for flow in flows
        for step in flow.steps
        for depth, value in _gradients(flow, step)
    ]
    line = (
        alt.Chart(data(points))
        .mark_line()
        .encode(
            x=alt.X("depth:Q", title="depth", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("value:Q", title="||dL/dx||", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e")),
            color=alt.Color("model:N", title=None),
            strokeDash=alt.StrokeDash("step:N", title=None, sort=None),
            tooltip=["model:N", "step:N", alt.Tooltip("depth:Q", format=".1%"), alt.Tooltip("value:Q", format=".3e")],
        )
    )
    greys = alt.Color("stage:N", legend=None, scale=alt.Scale(scheme="greys"))
    bands = alt.Chart(data(_stages(flows[0]))).mark_rect(opacity=0.08).encode(x="from:Q", x2="to:Q", color=greys)
    title = f"Activation gradient by depth; stages of {flows[0].model}"
    chart = alt.layer(bands, line).resolve_scale(color="independent").properties(title=title, width=WIDTH, height=280)
    return Picture("gradient by depth", chart, points)


def _stages(flow: Flow) -> list[dict[str, Any]]:
    """Return the stages as bands, from the middle of each to the middle between it and its neighbours."""
    middles = sorted({(row.depth, row.name) for row in flow.rows if row.statistic == "growth"})
    edges = [0.0, *((a + b) / 2 for (a, _), (b, _) in pairwise(middles)), 1.0]
    return [{"stage": name, "from": edges[i], "to": edges[i + 1]} for i, (_, name) in enumerate(middles)]


def _updates(flow: Flow) -> Picture:
    cells = [
        {"model": flow.model, "layer": name, "order": i, "step": step, "update": value}
        for step in flow.steps
        for i, (name, (_, value)) in enumerate(flow.means("update", step).items())
        if value > 0 and isfinite(value)
    ]
    colours = alt.Scale(type="log", scheme="viridis")
    chart = (
        alt.Chart(data(cells))
        .mark_rect()
        .encode(
            x=alt.X("layer:N", sort=alt.EncodingSortField("order"), title=None, axis=LAYERS),
            y=alt.Y("step:O", title="step"),
            color=alt.Color("update:Q", title="update", scale=colours, legend=alt.Legend(format=".0e", tickCount=4)),
            tooltip=["layer:N", "step:O", alt.Tooltip("update:Q", format=".3e")],
        )
        .properties(title=f"{flow.model}: update ratio lr ||dL/dW|| / ||W||", width=WIDTH, height=24 * len(flow.steps))
    )
    return Picture(f"update ratios of {flow.model}", chart, cells)


def _paths(flow: Flow) -> Picture:
    bars = [
        {"model": flow.model, "sum": name, "order": i, "path": path, "share": value}
        for i, (name, (_, share)) in enumerate(flow.means("share", flow.steps[0]).items())
        for path, value in (("shortcut", 1 - share), ("branch", share))
        if isfinite(share)
    ]
    chart = (
        alt.Chart(data(bars))
        .mark_bar()
        .encode(
            x=alt.X("sum:N", sort=alt.EncodingSortField("order"), title=None, axis=LAYERS),
            y=alt.Y("share:Q", title="of the energy", axis=alt.Axis(format="%")),
            color=alt.Color("path:N", title=None),
            tooltip=["sum:N", "path:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(
            title=f"{flow.model}: the gradient along shortcut and branch, step {flow.steps[0]}",
            width=WIDTH,
            height=120,
        )
    )
    return Picture(f"paths of {flow.model}", chart, bars)


def _lengths(flows: Sequence[Flow]) -> Picture:
    values = [
        {"model": flow.model, "branches": k, "share": share}
        for flow in flows
        if (shares := [share for _, share in flow.means("share", flow.steps[0]).values()])
        and all(map(isfinite, shares))
        for k, share in enumerate(path_lengths(shares))
    ]
    chart = (
        alt.Chart(data(values))
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("branches:O", title="branches on the path"),
            y=alt.Y("share:Q", title="of the energy", stack=None, axis=alt.Axis(format="%")),
            color=alt.Color("model:N", title=None),
            tooltip=["model:N", "branches:O", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(title="Lengths of the paths that the gradient takes", width=WIDTH, height=120)
    )
    return Picture("lengths of paths", chart, values)
